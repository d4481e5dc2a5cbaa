// An executor in JavaScript that needs only the .proto. docs/executors.md describes the protocol.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Kafka, logLevel } from "kafkajs";

const setting = (name, otherwise) => process.env[`FABRIC_JOBS_${name}`] || otherwise;
const servers = setting("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092").split(",");
const topic = setting("EVENTS_TOPIC", "fabric.jobs.events");
const facades = setting("FACADES", "127.0.0.1:5001").split(",");
const pool = setting("POOL", "node");
const slots = Number(setting("SLOTS", 10));
const drainMs = 1000 * Number(setting("DRAIN_S", 30));

const ANSWER_TIMEOUT_MS = 30_000; // a stream with an entry that is unanswered for longer is closed
const CLEAN_UP_TIMEOUT_MS = 5_000; // for handlers, after the drain has cancelled them
const MAX_LIFE_MS = 24 * 60 * 60 * 1000; // of a job

// The keys are item type and job type. A handler throws once its signal is aborted.
const handlers = {
  "Contoso.FinanceAnalytics.Forecast/countRows": async ({ rows = 3 }, { progress, checkpoint, saveCheckpoint, signal }) => {
    for (let row = (checkpoint ?? 0) + 1; row <= rows; row++) {
      await sleep(200, undefined, { signal });
      progress(row / rows, `row ${row} of ${rows}`);
      await saveCheckpoint(row); // another attempt, here or elsewhere, begins after this row
    }
  },
};
const policy = { maxAttempts: 3, initialBackoff: { seconds: 1 }, cancelGrace: { seconds: 60 } };
const handlerKey = ({ itemType, jobType }) => `${itemType}/${jobType}`;

// --- The stream. A claim or report is an entry: it is repeated on each new stream until answered.

const executorId = randomUUID();
const jobTypes = Object.keys(handlers)
  .map((key) => key.split("/"))
  .map(([itemType, jobType]) => ({ itemType, jobType }));
const proto = loadSync("fabric_jobs/status/v1/job_status.proto", {
  includeDirs: [fileURLToPath(new URL("../proto", import.meta.url))],
  defaults: true,
  longs: Number,
});
const { JobStatusService } = grpc.loadPackageDefinition(proto).fabric_jobs.status.v1;
// Mutual TLS if the variables name the PEM files, else plain text, which is for loopback only.
const pem = (name) => readFileSync(setting(`FACADES_TLS_${name}_FILE`));
const credentials = setting("FACADES_TLS_CA_FILE")
  ? grpc.credentials.createSsl(pem("CA"), pem("KEY"), pem("CERT"))
  : grpc.credentials.createInsecure();
const keepalive = { "grpc.keepalive_time_ms": 20_000, "grpc.keepalive_timeout_ms": 10_000 };
const unanswered = new Map();
let lastEntryId = 0;
let [stream, stopped] = [null, false];

async function ask(kind, fields) {
  const entryId = ++lastEntryId;
  const request = { [kind]: [{ entryId, ...fields }] };
  for (;;) {
    const answer = await new Promise((resolve) => {
      unanswered.set(entryId, { request, resolve });
      send(unanswered.get(entryId));
    });
    if (!answer.undecided) return answer;
    await sleep(500 + 1000 * Math.random());
  }
}

function send(entry) {
  entry.sentAt = Date.now();
  stream?.write(entry.request); // without a stream, the next stream sends it
}

function receive({ answers, cancels, stops, offers }) {
  for (const answer of answers) {
    unanswered.get(answer.entryId)?.resolve(answer);
    unanswered.delete(answer.entryId);
  }
  for (const run of cancels) runs.get(keyOf(run))?.end.abort("stopped");
  for (const run of stops) runs.get(keyOf(run))?.end.abort("revoked");
  for (const { job, record, payload, checkpoint } of offers) {
    const dispatch = { ...job, key: handlerKey(job), record, payload: JSON.parse(payload) };
    if (checkpoint.length) dispatch.checkpoint = JSON.parse(checkpoint);
    if (dispatch.key in handlers && freeSlots() > 0) start(dispatch);
  }
}

async function stayConnected() {
  for (let turn = 0; !stopped; turn++) {
    const address = facades[turn % facades.length];
    const client = new JobStatusService(address, credentials, keepalive);
    stream = client.session().on("data", receive).on("error", () => {}); // its status event follows
    stream.write({ hello: { executorId, pool, jobTypes, slots }, heartbeat: heartbeat() });
    unanswered.forEach(send);
    const ended = await new Promise((resolve) => stream.on("status", resolve));
    stream = null;
    client.close();
    console.error(`facade ${address}: ${grpc.status[ended.code]} ${ended.details}`);
    await sleep(1000 * Math.random());
  }
}

function beat() {
  const oldest = Math.min(...[...unanswered.values()].map(({ sentAt }) => sentAt));
  if (oldest + ANSWER_TIMEOUT_MS < Date.now()) stream?.cancel();
  else stream?.write({ heartbeat: heartbeat() });
}

// --- The runs. A run lasts from the claim of an attempt to the answer to its last report.

const runs = new Map();
let draining = false;
const keyOf = ({ jobId, attempt }) => `${jobId}/${attempt}`;
const freeSlots = () => (draining ? 0 : slots - runs.size);

function heartbeat() {
  const held = [...runs.values()].filter(({ end }) => end.signal.reason !== "revoked");
  const claims = held.filter(({ grant }) => !grant);
  return { runs: held.filter(({ grant }) => grant), claims, freeSlots: freeSlots() };
}

function start({ key, jobId, attempt, record, payload, checkpoint }) {
  const run = { jobId, attempt, grant: null, end: new AbortController() };
  if (runs.has(keyOf(run))) return; // the record was read again, or the attempt is offered too
  runs.set(keyOf(run), run);
  run.decided = ask("claims", { jobId, attempt, record, policy });
  run.over = execute(run, handlers[key], payload ?? {}, checkpoint).finally(() => runs.delete(keyOf(run)));
}

async function execute(run, handler, payload, checkpoint) {
  const { jobId, attempt, end: { signal } } = run;
  const { accepted: grant, dispatch } = await run.decided;
  run.grant = grant;
  if (!grant) return; // refused, which is final
  if (dispatch) { // the record has it sealed
    payload = JSON.parse(dispatch.payload) ?? {};
    checkpoint = dispatch.checkpoint.length ? JSON.parse(dispatch.checkpoint) : undefined;
  }
  const report = (outcome) => ask("reports", { jobId, attempt, grant, ...outcome });
  const progress = async (fraction, message) => {
    if (run.reporting) return; // one at a time, because the facade keeps at most one a second
    run.reporting = true;
    await report({ progress: { fraction, message } });
    run.reporting = false;
  };
  const saveCheckpoint = (value) => report({ checkpoint: Buffer.from(JSON.stringify(value)) });
  let outcome = { completed: {} };
  try {
    await handler(payload, { progress, checkpoint, saveCheckpoint, signal });
  } catch (error) {
    if (signal.reason === "stopped") outcome = { stopped: {} };
    else if (signal.reason === "handed back") outcome = { handedBack: {} };
    else outcome = { failed: { errorCode: "HandlerError", message: `${error}`, source: "System" } };
  }
  if (signal.reason !== "revoked") await report(outcome);
}

// --- Kafka. A record is committed once its claim is decided, not once its job is done.

async function takeBatch({ batch, resolveOffset, heartbeat, isRunning }) {
  const until = async (done) => {
    while (isRunning() && !(await done())) await heartbeat(); // to the consumer group
    return isRunning();
  };
  for (const message of batch.messages) {
    const dispatch = dispatchOf(batch.partition, message);
    if (dispatch) {
      if (!(await until(() => freeSlots() > 0 || sleep(500, false)))) return;
      start(dispatch);
      const { decided } = runs.get(keyOf(dispatch));
      if (!(await until(() => Promise.race([decided, sleep(500, false)])))) return;
    }
    resolveOffset(message.offset);
  }
}

function dispatchOf(partition, { offset, timestamp, value }) {
  if (Number(timestamp) + MAX_LIFE_MS < Date.now()) return null; // no job lives that long
  try {
    const { id: eventId, subject: jobId, data: { state, dispatch } } = JSON.parse(value);
    if (!dispatch || !(handlerKey(state) in handlers)) return null;
    const record = { eventId, partition, offset };
    return { ...state, ...dispatch, key: handlerKey(state), jobId, record };
  } catch {
    return null; // not an event: it is skipped
  }
}

// --- The process. SIGTERM drains it.

const kafka = new Kafka({ brokers: servers, logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: pool });
const connected = stayConnected();
setInterval(beat, 5_000);

process.once("SIGTERM", async () => {
  draining = true;
  await consumer.disconnect(); // other executors get its partitions at once
  const over = () => Promise.all([...runs.values()].map((run) => run.over));
  await Promise.race([over(), sleep(drainMs)]);
  for (const { end } of runs.values()) end.abort("handed back");
  await Promise.race([over(), sleep(CLEAN_UP_TIMEOUT_MS)]);
  stream?.end(); // the facade answers the open entries, and then ends the stream
  [stream, stopped] = [null, true];
  await Promise.race([connected, sleep(CLEAN_UP_TIMEOUT_MS)]);
  process.exit(0);
});
consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || process.exit(1));
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({ eachBatchAutoResolve: false, eachBatch: takeBatch });
console.log(`executor ready id=${executorId}`);

// Reads every job's events from the topic, and prints a line for each event that applies.
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const servers = process.env.FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092";
const topic = process.env.FABRIC_JOBS_EVENTS_TOPIC ?? "fabric.jobs.events";
const KEPT_MS = 8 * 24 * 60 * 60 * 1000;
// By job id, the oldest job first: its last sequence, whether it has ended, and when it began.
const jobs = new Map();

function take({ key, value, timestamp }) {
  let event;
  try {
    event = JSON.parse(value);
  } catch {
    return; // not an event: it is skipped
  }
  if (!event?.data?.state) return;
  const { type, subject: id, data: { sequence, state } } = event;
  if (key?.toString() !== id) return; // no facade takes it
  for (const [oldest, { begunMs }] of jobs) {
    if (begunMs + KEPT_MS > Number(timestamp)) break;
    jobs.delete(oldest);
  }
  const { last, ended, begunMs } = jobs.get(id) ?? { last: 0, begunMs: Number(timestamp) };
  if (sequence !== last + 1 || ended) return; // a duplicate, or the loser of a race
  jobs.set(id, { last: sequence, ended: state.phase === "Ended", begunMs });
  console.log(id, sequence, type, state.status);
}

const kafka = new Kafka({ brokers: servers.split(","), logLevel: logLevel.ERROR });
// kafkajs needs a consumer group, so this process has a group of its own and commits nothing.
const consumer = kafka.consumer({ groupId: `subscriber-${randomUUID()}` });
process.once("SIGTERM", () => consumer.disconnect());
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => take(message) });

// Reads every job's events from the topic, and prints a line for each event that counts.
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const servers = process.env.FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092";
const topic = process.env.FABRIC_JOBS_EVENTS_TOPIC ?? "fabric.jobs.events";
const KEPT_MS = 8 * 24 * 60 * 60 * 1000;
// By partition, a map of its jobs. By job id, the oldest job first: the sequence and the id of its
// last event, whether it has ended, and when it began.
const partitions = new Map();

function take(partition, { key, value, timestamp }) {
  let event;
  try {
    event = JSON.parse(value);
  } catch {
    return; // not an event: it is skipped
  }
  if (!event?.data?.state) return;
  const { type, id: eventId, subject: id, data: { sequence, follows, state } } = event;
  if (key?.toString() !== id) return; // no facade takes it
  if (!partitions.has(partition)) partitions.set(partition, new Map());
  const jobs = partitions.get(partition);
  for (const [oldest, { begunMs }] of jobs) {
    if (begunMs + KEPT_MS > Number(timestamp)) break;
    jobs.delete(oldest);
  }
  const unknown = { last: 0, lastId: null, ended: false, begunMs: Number(timestamp) };
  const { last, lastId, ended, begunMs } = jobs.get(id) ?? unknown;
  // A duplicate, or the loser of a race, is skipped.
  if (sequence !== last + 1 || follows !== lastId || ended) return;
  jobs.set(id, { last: sequence, lastId: eventId, ended: state.phase === "Ended", begunMs });
  console.log(id, sequence, type, state.status);
}

const kafka = new Kafka({ brokers: servers.split(","), logLevel: logLevel.ERROR });
// kafkajs needs a consumer group, so this process has a group of its own and commits nothing.
const consumer = kafka.consumer({ groupId: `subscriber-${randomUUID()}` });
process.once("SIGTERM", () => consumer.disconnect());
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ partition, message }) => take(partition, message),
});

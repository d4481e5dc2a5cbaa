// Follows every job on the topic, and prints a line for each event that applies.
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const servers = process.env.FABRIC_JOBS_KAFKA_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092";
const topic = process.env.FABRIC_JOBS_EVENTS_TOPIC ?? "fabric.jobs.events";
const keptMs = 8 * 24 * 60 * 60 * 1000;
// By job, the oldest first: its number, whether it has ended, and when it began.
const jobs = new Map();

function take({ value, timestamp }) {
  let event;
  try {
    event = JSON.parse(value);
  } catch {
    return; // no event: it stops no reader
  }
  if (!event?.data?.state) return;
  const { type, subject: id, data: { sequence, state } } = event;
  for (const [oldest, { begunMs }] of jobs) {
    if (begunMs + keptMs > Number(timestamp)) break;
    jobs.delete(oldest);
  }
  const { number, ended, begunMs } = jobs.get(id) ?? { number: 0, begunMs: Number(timestamp) };
  if (sequence !== number + 1 || ended) return; // a duplicate, or the loser of a race
  jobs.set(id, { number: sequence, ended: state.phase === "Ended", begunMs });
  console.log(id, sequence, type, state.status);
}

const kafka = new Kafka({ brokers: servers.split(","), logLevel: logLevel.ERROR });
// kafkajs reads in a group only: in one of its own, which commits nothing.
const consumer = kafka.consumer({ groupId: `subscriber-${randomUUID()}` });
process.once("SIGTERM", () => consumer.disconnect());
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => take(message) });

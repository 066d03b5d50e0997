// Produces one event, awaits its verdict, and watches the dead letters.
//
//   node produce.mjs --bootstrap 127.0.0.1:9092 "a text to judge"
//
// Prints the verdict as one line of JSON. Exit status: 0 a verdict came; 1 the event became a dead letter, which is
// printed instead; 2 wrong use; 10 nothing came in time. The types are generated from Penstock's schemas, and
// `npm run check` holds this file to them.

import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import {
  Consumer,
  ListOffsetTimestamps,
  MessagesStreamModes,
  Producer,
  compatibilityPartitioner
} from '@platformatic/kafka'

/** @import { DeadLetter, Moderate, Verdict } from './messages.js' */
/** @typedef {{ verdict: Verdict } | { deadLetter: DeadLetter }} Outcome */

const EXIT = { verdict: 0, deadLetter: 1, usage: 2, late: 10 }
const TENANT = 'default'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bootstrap: { type: 'string', default: '127.0.0.1:9092' },
    prefix: { type: 'string', default: '' },
    priority: { type: 'string', default: 'critical' },
    author: { type: 'string', default: 'author-1' },
    within: { type: 'string', default: '60' }
  }
})
if (positionals.length !== 1) {
  console.error('Usage: node produce.mjs [--bootstrap HOST:PORT] [--prefix P.] [--priority critical] TEXT')
  process.exit(EXIT.usage)
}

/** @type {Moderate} */
const event = {
  v: 1,
  // Yours: the same id for an edited post, another one for another post.
  id: `example-${randomUUID()}`,
  kind: 'moderate',
  tenant: TENANT,
  author: flags.author,
  text: positionals[0],
  created_at: new Date().toISOString()
}

const bootstrapBrokers = flags.bootstrap.split(',')
const producer = new Producer({
  clientId: 'penstock-example',
  bootstrapBrokers,
  // As Java's clients do. The package's default agrees with them only if the partitions are a power of two.
  partitioner: compatibilityPartitioner
})
const consumer = new Consumer({
  clientId: 'penstock-example',
  bootstrapBrokers,
  // A group of our own: we want to see every record. A service that stores verdicts has one stable group instead.
  groupId: `penstock-example-${randomUUID()}`
})

try {
  const outcome = await judged(event, Number(flags.within) * 1000)
  if (outcome === null) {
    console.error(`No verdict on ${event.id} within ${flags.within} s.`)
    process.exitCode = EXIT.late
  } else if ('deadLetter' in outcome) {
    // The payload is your event, in Base64: do not print it into a log.
    const { stage, code, detail, path } = outcome.deadLetter
    console.log(JSON.stringify({ id: event.id, stage, code, detail, path }))
    process.exitCode = EXIT.deadLetter
  } else {
    console.log(JSON.stringify(outcome.verdict))
    process.exitCode = EXIT.verdict
  }
} finally {
  await consumer.close(true)
  await producer.close()
}

/**
 * The final verdict on an event, or its dead letter; null if neither came in time.
 *
 * @param {Moderate} event
 * @param {number} withinMs
 * @returns {Promise<Outcome | null>}
 */
async function judged (event, withinMs) {
  const answers = [`${flags.prefix}verdicts`, `${flags.prefix}dead-letters`]
  // Where both topics end *before* the event is written: its answer comes after, however quick it is.
  const ends = await consumer.listOffsets({ topics: answers, timestamp: ListOffsetTimestamps.LATEST })
  const offsets = [...ends].flatMap(([topic, byPartition]) =>
    byPartition.map((offset, partition) => ({ topic, partition, offset }))
  )
  const stream = await consumer.consume({
    topics: answers,
    mode: MessagesStreamModes.MANUAL,
    offsets,
    autocommit: false,
    maxWaitTime: 100
  })
  const tooLate = setTimeout(() => stream.destroy(), withinMs)

  await producer.send({
    messages: [
      {
        // The topic decides the priority; the key keeps an author's posts in one partition, in their order.
        topic: `${flags.prefix}content.${flags.priority}`,
        key: Buffer.from(event.author ?? ''),
        value: Buffer.from(JSON.stringify(event))
      }
    ]
  })

  try {
    for await (const record of stream) {
      const answer = JSON.parse(record.value.toString())
      if (answer.tenant !== event.tenant || answer.id !== event.id) continue
      if (record.topic.endsWith('dead-letters')) return { deadLetter: answer }
      // A provisional verdict may come first; a later one with a higher `rev` supersedes it. A service keeps the
      // highest `rev` for each (tenant, id, content_digest), and of equal ones the first.
      if (answer.status === 'final') return { verdict: answer }
    }
  } catch (error) {
    // Destroying the stream ends the loop, with an error on some releases of Node and without on others.
    if (!stream.destroyed) throw error
  } finally {
    clearTimeout(tooLate)
  }
  return null
}

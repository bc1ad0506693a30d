/**
 * What this node counts, for Prometheus. Labels are bounded: endpoints and fields come from this program's own words, and
 * beyond a number of fields all others share one name.
 */
import { Counter, Registry } from 'prom-client'
import type { Endpoint } from '../dialects/dialect.ts'

/** The counters. */
export interface Metrics {
  /** Counts fields that a request or an answer lost on its way into another dialect. */
  countDropped(endpoint: Endpoint, fields: readonly string[]): void
  /** All of it, in the text format, and its content type. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** Distinct fields that are counted by their names. Clients can invent fields; a series for each would never end. */
const FIELDS_MAX = 200
const OTHER_FIELDS = 'other'

/** Makes the counters of one node. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const dropped = new Counter({
    name: 'tok_translation_dropped_total',
    help: 'Fields that could not be carried into another dialect, by the endpoint of the client',
    labelNames: ['endpoint', 'field'],
    registers: [registry],
  })
  const known = new Set<string>()
  const nameOf = (field: string): string => {
    if (known.size < FIELDS_MAX) known.add(field)
    return known.has(field) ? field : OTHER_FIELDS
  }
  return {
    countDropped(endpoint, fields) {
      for (const field of fields) dropped.inc({ endpoint, field: nameOf(field) })
    },
    expose: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

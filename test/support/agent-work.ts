/**
 * A real client runs an errand against a real facade with the errand's model behind it, and what is left of it.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Dialect } from '../../src/dialects/dialect.ts'
import type { InferenceRecord } from '../../src/wire/journal.ts'
import type { Client } from './agent-clients.ts'
import { openBox, type ClientRun } from './agent-process.ts'
import { createAgentScript, REASONING, stampErrand, type Errand } from './agent-script.ts'
import { startFacade } from './facade.ts'
import { DEFAULT_USAGE } from './scripted-answers.ts'
import { startScriptedProvider, type RecordedRequest, type ScriptedProvider } from './scripted-provider.ts'

/** More requests than any client needs: what comes after gets another answer, and is counted. */
const REQUESTS_MAX = 50
const STAMP_SERVER = join(import.meta.dirname, 'stamp-server.ts')

/** What a client left. */
export interface Work {
  readonly errand: Errand
  readonly run: ClientRun
  /** The errand's file; undefined if there is none. */
  readonly file: string | undefined
  readonly refusedHosts: readonly string[]
}

/** Where an errand is run. */
export interface Workplace {
  /** Base URL of the facade, without a path. */
  readonly url: string
  readonly model: string
  /** The model server behind it. */
  readonly provider: ScriptedProvider
}

/** Lets `client` run an errand. */
export async function runErrand(client: Client, errand: Errand, { url, model, provider }: Workplace): Promise<Work> {
  const box = await openBox()
  try {
    const { prompt, fileName } = errand
    const path = join(box.workFolder, fileName)
    provider.script(createAgentScript(errand, path), REQUESTS_MAX)
    const toolServer = errand === stampErrand ? ([process.execPath, STAMP_SERVER, path] as const) : undefined
    const command = await client(box, { url, model, prompt, ...(toolServer === undefined ? {} : { toolServer }) })
    const run = await box.run(command)
    const file = await readFile(path, 'utf8').catch(() => undefined)
    return { errand, run, file, refusedHosts: box.refusedHosts }
  } finally {
    await box.close()
  }
}

/** The same at a facade, and what both sides of it saw. */
export interface FacadeWork extends Work {
  readonly requests: readonly RecordedRequest[]
  readonly records: readonly InferenceRecord[]
}

/** Lets `client` run an errand at a facade whose only server speaks `dialect`. */
export async function runErrandAtFacade(
  client: Client,
  errand: Errand,
  { model, dialect }: { readonly model: string; readonly dialect: Dialect },
): Promise<FacadeWork> {
  const provider = await startScriptedProvider({ models: [model] })
  const facade = await startFacade({ servers: [{ name: 'engine', url: provider.url, dialects: [dialect] }] })
  try {
    const work = await runErrand(client, errand, { url: facade.url, model, provider })
    return { ...work, requests: provider.requests, records: facade.records }
  } finally {
    await facade.close()
    await provider.close()
  }
}

/** Fails, with what the client said, unless the errand's file is as it should be and its report came through. */
export function expectDone({ errand, run, file, refusedHosts }: Work, hostsTolerated: readonly string[] = []): void {
  const said = `${run.stdout.slice(-4_000)}\n${run.stderr.slice(-2_000)}`
  expect(run.code, said).toBe(0)
  expect(file, said).toBe(errand.content)
  expect(run.stdout).toContain(errand.report)
  expect(refusedHosts.filter((host) => !hostsTolerated.includes(host))).toEqual([])
}

/** Fails unless there were `count` requests in the client's `dialect`, and each was answered whole, at once. */
export function expectRecorded({ requests, records }: FacadeWork, dialect: Dialect, count: number): void {
  const completed = { dialect, status: 'completed', httpStatus: 200, retries: 0, ...DEFAULT_USAGE }
  expect(records).toMatchObject(Array.from({ length: count }, () => completed))
  expect(requests).toHaveLength(count)
}

/** Fails unless the model's reasoning got to the client, and with the conversation back to the model. */
export function expectReasoningKept({ run, requests }: Pick<FacadeWork, 'run' | 'requests'>): void {
  expect(run.stdout).toContain(REASONING)
  expect(Buffer.from(requests.at(-1)?.body ?? []).toString('utf8')).toContain(REASONING)
}

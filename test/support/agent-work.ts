/**
 * A real client does its work against a real facade in front of the working model, and what is left of it.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Dialect } from '../../src/dialects/dialect.ts'
import type { InferenceRecord } from '../../src/wire/journal.ts'
import type { Client, ClientTarget } from './agent-clients.ts'
import { openBox, type ClientRun } from './agent-process.ts'
import { createAgentScript, WORK_FILE, WORK_REPORT, WORK_RESULT } from './agent-script.ts'
import { startFacade } from './facade.ts'
import { DEFAULT_USAGE } from './scripted-answers.ts'
import { startScriptedProvider, type RecordedRequest, type ScriptedProvider } from './scripted-provider.ts'

/** More requests than any client needs: what comes after gets another answer, and is counted. */
const REQUESTS_MAX = 50

/** What a client left. */
export interface Work {
  readonly run: ClientRun
  /** The work file; undefined if there is none. */
  readonly file: string | undefined
  readonly refusedHosts: readonly string[]
}

/** Lets `client` do its work at `target`, behind which `provider` is the model server. */
export async function doWork(client: Client, target: ClientTarget, provider: ScriptedProvider): Promise<Work> {
  const box = await openBox()
  try {
    const file = join(box.workFolder, WORK_FILE)
    provider.script(createAgentScript(file), REQUESTS_MAX)
    const run = await box.run(await client(box, target))
    return { run, file: await readFile(file, 'utf8').catch(() => undefined), refusedHosts: box.refusedHosts }
  } finally {
    await box.close()
  }
}

/** The same at a facade, and what both sides of it saw. */
export interface FacadeWork extends Work {
  readonly requests: readonly RecordedRequest[]
  readonly records: readonly InferenceRecord[]
}

/** Lets `client` do its work at a facade whose only server speaks `dialect`. */
export async function doWorkAtFacade(client: Client, model: string, dialect: Dialect): Promise<FacadeWork> {
  const provider = await startScriptedProvider({ models: [model] })
  const facade = await startFacade({ servers: [{ name: 'engine', url: provider.url, dialects: [dialect] }] })
  try {
    const work = await doWork(client, { url: facade.url, model }, provider)
    return { ...work, requests: provider.requests, records: facade.records }
  } finally {
    await facade.close()
    await provider.close()
  }
}

/** Fails, with what the client said, unless it changed the file as the model wanted and told what the model told. */
export function expectDone({ run, file, refusedHosts }: Work, hostsTolerated: readonly string[] = []): void {
  const said = `${run.stdout.slice(-4_000)}\n${run.stderr.slice(-2_000)}`
  expect(run.code, said).toBe(0)
  expect(file, said).toBe(WORK_RESULT)
  expect(run.stdout).toContain(WORK_REPORT)
  expect(refusedHosts.filter((host) => !hostsTolerated.includes(host))).toEqual([])
}

/** Fails unless there were `count` requests in the client's `dialect`, and each was answered whole, at once. */
export function expectRecorded({ requests, records }: FacadeWork, dialect: Dialect, count: number): void {
  const completed = { dialect, status: 'completed', httpStatus: 200, retries: 0, ...DEFAULT_USAGE }
  expect(records).toMatchObject(Array.from({ length: count }, () => completed))
  expect(requests).toHaveLength(count)
}

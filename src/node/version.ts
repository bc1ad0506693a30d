/**
 * The version of this program, as package.json states it.
 */
import { readFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string
}

/** "0.1.0" */
export const VERSION: string = version

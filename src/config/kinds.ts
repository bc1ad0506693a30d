/**
 * The types of configuration values: each reads the text of a file, a variable or a flag, or refuses it.
 */
import { isIP } from 'node:net'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseAmount } from '../base/amount.ts'
import { TokError } from '../base/errors.ts'

/** Where a text was found, as far as its reading depends on it. */
export interface ReadingPlace {
  /** What relative paths start from. */
  readonly cwd: string
  /** What `~` stands for. */
  readonly home: string
}

/** One type of value. */
export interface Kind<T> {
  /** For people, with unit and range: "integer, 0 to 65535". */
  readonly name: string
  /** @throws TokError `config_invalid` saying what is expected */
  read(text: string, place: ReadingPlace): T
}

/** A model, or a pattern with `*`, that is sold at two prices in micros per Mtok. */
export interface PriceRule {
  readonly model: string
  readonly inputMicrosPerMtok: bigint
  readonly outputMicrosPerMtok: bigint
}

/** The place that this process reads from. */
export function placeOf(env: NodeJS.ProcessEnv, cwd: string): ReadingPlace {
  return { cwd, home: env.HOME ?? homedir() }
}

export const text: Kind<string> = { name: 'text', read: (value) => value }

export const boolean: Kind<boolean> = {
  name: 'true or false',
  read(value) {
    const word = value.toLowerCase()
    if (['true', 'yes', 'on', '1'].includes(word)) return true
    if (['false', 'no', 'off', '0'].includes(word)) return false
    throw refusal(value, 'true or false')
  },
}

export const path: Kind<string> = {
  name: 'path',
  read(value, { cwd, home }) {
    if (value === '') throw refusal(value, 'a path')
    return resolve(cwd, value === '~' || value.startsWith('~/') ? join(home, value.slice(1)) : value)
  },
}

/** An amount of the asset, read to micros. */
export const amount: Kind<bigint> = { name: 'USD', read: parseAmount }

/** Entries divided by commas or line breaks. */
export const list: Kind<readonly string[]> = { name: 'list', read: entriesOf }

/** A base URL of a model server, without a trailing slash. */
export const httpUrl: Kind<string> = {
  name: 'http(s) URL',
  read(value) {
    if (!/^https?:$/.test(URL.parse(value)?.protocol ?? '')) throw refusal(value, 'an http:// or https:// URL')
    return value.replace(/\/+$/, '')
  },
}

/** Until the facade asks for credentials it may not listen where others reach it. */
export const loopbackHost: Kind<string> = {
  name: 'loopback address',
  read(value) {
    if (value === 'localhost' || value === '::1' || (isIP(value) === 4 && value.startsWith('127.'))) return value
    throw new TokError('config_invalid', {
      reason:
        `"${value}" is not a loopback address: the facade asks for no credentials yet, ` +
        'so it listens on this machine only (127.0.0.1)',
    })
  },
}

/** A network's name: it is part of protocol ids. */
export const networkName: Kind<string> = {
  name: 'word',
  read(value) {
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(value)) {
      throw refusal(value, 'a word of at most 32 lower-case letters, digits and hyphens')
    }
    return value
  },
}

export const priceRules: Kind<readonly PriceRule[]> = {
  name: 'list of MODEL=INPUT/OUTPUT, USD per Mtok',
  read: (value) => entriesOf(value).map(readPriceRule),
}

/** A model, or a pattern with `*`, and the most that is spent on it, in micros. */
export interface SpendRule {
  readonly model: string
  readonly micros: bigint
}

export const spendRules: Kind<readonly SpendRule[]> = {
  name: 'list of MODEL=USD',
  read: (value) =>
    entriesOf(value).map((entry) => {
      const [, model, micros] = /^(.+)=([^=]+)$/.exec(entry) ?? []
      if (model === undefined || micros === undefined) throw refusal(entry, 'MODEL=USD, such as llama3*=0.50')
      return { model: model.trim(), micros: parseAmount(micros) }
    }),
}

/** Whole numbers within a range, of a unit that stands in the key's name. */
export function integer(min: number, max: number): Kind<number> {
  return {
    name: `integer, ${min} to ${max}`,
    read(value) {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      if (!(number >= min && number <= max)) throw refusal(value, `a whole number from ${min} to ${max}`)
      return number
    },
  }
}

/** Several of `kind`, divided by commas or line breaks. */
export function listOf<T>(kind: Kind<T>): Kind<readonly T[]> {
  return {
    name: `list of ${kind.name}`,
    read: (value, place) => entriesOf(value).map((entry) => kind.read(entry, place)),
  }
}

export function oneOf<const Word extends string>(...words: readonly Word[]): Kind<Word> {
  return {
    name: words.join(', '),
    read(value) {
      const word = words.find((each) => each === value)
      if (word === undefined) throw refusal(value, `one of ${words.join(', ')}`)
      return word
    },
  }
}

/** `kind`, or nothing where the text is empty. */
export function optional<T>(kind: Kind<T>): Kind<T | undefined> {
  return { name: kind.name, read: (value, place) => (value === '' ? undefined : kind.read(value, place)) }
}

/**
 * Reads "MODEL=INPUT/OUTPUT", prices in USD per Mtok. The model may hold `*`, `:` and `/`; the last `=` divides.
 * @throws TokError `config_invalid`
 */
export function readPriceRule(entry: string): PriceRule {
  const [, model, input, output] = /^(.+)=([^=/]+)\/([^=/]+)$/.exec(entry) ?? []
  if (model === undefined || input === undefined || output === undefined) {
    throw refusal(entry, 'MODEL=INPUT/OUTPUT with prices in USD per Mtok, such as llama3*=0.10/0.40')
  }
  return {
    model: model.trim(),
    inputMicrosPerMtok: parseAmount(input),
    outputMicrosPerMtok: parseAmount(output),
  }
}

function entriesOf(value: string): string[] {
  return value
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

function refusal(value: string, expected: string): TokError {
  return new TokError('config_invalid', { reason: `"${value}" is not ${expected}` })
}

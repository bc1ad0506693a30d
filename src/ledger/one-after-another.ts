/**
 * Keeps the steps of one call, and those of one account, one after the other. A step that takes both begins with the account,
 * so that no two wait for each other.
 */
import { toHex } from '../base/bytes.ts'

/** Runs `step` when the steps asked for before under this id, of an order or an account, are through. */
export type OneAfterAnother = <T>(id: Uint8Array, step: () => Promise<T>) => Promise<T>

export function createOneAfterAnother(): OneAfterAnother {
  /** The last step of each, by id in hexadecimal. */
  const lasts = new Map<string, Promise<unknown>>()
  return (id, step) => {
    const name = toHex(id)
    const before = lasts.get(name) ?? Promise.resolve()
    const result = before.then(step, step)
    const settled = result.then(
      () => undefined,
      () => undefined,
    )
    lasts.set(name, settled)
    void settled.then(() => {
      if (lasts.get(name) === settled) lasts.delete(name)
    })
    return result
  }
}

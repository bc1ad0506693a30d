/**
 * Ids of the calls of one answer. Some servers give all of them the same; then no result would find its call.
 */

/** Makes a function that gives back an id it has not given before: the one it is asked for, or that one with a number. */
export function createCallIds(): (callId: string) => string {
  const taken = new Set<string>()
  return (callId) => {
    let own = callId
    for (let count = 1; taken.has(own); count += 1) own = `${callId}_${count}`
    taken.add(own)
    return own
  }
}

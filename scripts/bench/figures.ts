/**
 * What a bench finds out: figures with their baselines and targets, and how many values become few.
 */

/** One measured figure. */
export interface Figure {
  readonly group: string
  /** What was measured, and under which conditions. */
  readonly name: string
  /** Undefined where this machine cannot tell. */
  readonly value: number | undefined
  /** "ms", "/s", "µs", "MB", "x" for a ratio, "" for a count. */
  readonly unit: string
  /** Absent for a figure that only explains another. */
  readonly target?: Target
}

/** What a figure is held against. */
export type Target = { readonly atMost: number } | { readonly atLeast: number } | { readonly exactly: number }

/** True, false, or undefined where there is nothing to compare. */
export function isMet({ value, target }: Figure): boolean | undefined {
  if (value === undefined || target === undefined) return undefined
  if ('exactly' in target) return value === target.exactly
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast
}

/**
 * The value that `share` (0 to 1) of all values do not exceed.
 * @throws RangeError without a value
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  const value = sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))]
  if (value === undefined) throw new RangeError('nothing was measured')
  return value
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Text lines of a table, one line a figure, under the name of its group. */
export function tableOf(figures: readonly Figure[]): string[] {
  const width = Math.max(...figures.map(({ name }) => name.length))
  let group = ''
  return figures.flatMap((figure) => {
    const head = figure.group === group ? [] : ['', figure.group]
    group = figure.group
    const met = isMet(figure)
    const verdict = met === undefined ? '' : met ? 'met' : 'MISSED'
    const line = `  ${figure.name.padEnd(width)}  ${valueText(figure).padStart(12)}  ${targetText(figure).padEnd(12)} ${verdict}`
    return [...head, line.trimEnd()]
  })
}

function valueText({ value, unit }: Figure): string {
  if (value === undefined) return 'not measured'
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : 2
  return `${value.toFixed(digits)} ${unit}`.trimEnd()
}

function targetText({ target, unit }: Figure): string {
  if (target === undefined) return ''
  if ('exactly' in target) return `= ${target.exactly} ${unit}`.trimEnd()
  const text = 'atMost' in target ? `<= ${target.atMost}` : `>= ${target.atLeast}`
  return `${text} ${unit}`.trimEnd()
}

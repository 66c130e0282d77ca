/** What a check found, for people or for programs: `info doctor` and `init validate` tell it in the same form. */

import { formatCount } from '@alluxio-ts/common/units';
import { type JsonFlag, print } from './answer.ts';
import { ExitStatus, type ProgramOptions } from './context.ts';
import { printable } from './printable.ts';

export const findingLevels = ['ok', 'warning', 'error'] as const;
export type FindingLevel = (typeof findingLevels)[number];

export interface Finding {
  /** The kind of check: `mount`, `disk`, `memory`. */
  readonly check: string;
  /** What was looked at: a worker, a mount at a worker, a directory. */
  readonly subject: string;
  readonly level: FindingLevel;
  readonly finding: string;
  /** What to do about it; empty when all is well. */
  readonly advice: string;
}

/** Makes the findings of one check. */
export class Findings {
  readonly #check: string;
  readonly found: Finding[] = [];

  constructor(check: string) {
    this.#check = check;
  }

  ok(subject: string, finding: string): void {
    this.found.push({ check: this.#check, subject, level: 'ok', finding, advice: '' });
  }

  warning(subject: string, finding: string, advice: string): void {
    this.found.push({ check: this.#check, subject, level: 'warning', finding, advice });
  }

  error(subject: string, finding: string, advice: string): void {
    this.found.push({ check: this.#check, subject, level: 'error', finding, advice });
  }
}

export interface FindingsOutput extends JsonFlag {
  /** Also what is well. */
  readonly all?: true;
}

/** Throws ExitStatus 1 when there is an error among them. */
export async function tellFindings(
  context: ProgramOptions,
  findings: readonly Finding[],
  output: FindingsOutput,
): Promise<void> {
  await print(context, output, {
    data: { findings: findings.map((finding) => ({ ...finding })) },
    text: findingsText(findings, output.all ?? false),
  });
  if (findings.some(({ level }) => level === 'error')) throw new ExitStatus(1);
}

function findingsText(findings: readonly Finding[], showsAll: boolean): string {
  const worstFirst = findingLevels
    .toReversed()
    .filter((level) => showsAll || level !== 'ok')
    .flatMap((level) => findings.filter((finding) => finding.level === level));
  return [...worstFirst.flatMap(linesOf), fineLine(findings), sumLine(findings), ''].join('\n');
}

function linesOf({ check, subject, level, finding, advice }: Finding): readonly string[] {
  const head = `${level.padEnd(7)}  ${check}: ${printable(subject)}: ${printable(finding)}`;
  return advice === '' ? [head] : [head, `         → ${printable(advice)}`];
}

/** The checks of which every finding is well. */
function fineLine(findings: readonly Finding[]): string {
  const bad = new Set(findings.filter(({ level }) => level !== 'ok').map(({ check }) => check));
  const counts = new Map<string, number>();
  for (const { check } of findings) {
    if (!bad.has(check)) counts.set(check, (counts.get(check) ?? 0) + 1);
  }
  const fine = [...counts].map(([check, count]) => (count === 1 ? check : `${check} (${count})`));
  return `Fine: ${fine.join(', ') || 'nothing'}`;
}

function sumLine(findings: readonly Finding[]): string {
  const countOf = (wanted: FindingLevel): number => findings.filter(({ level }) => level === wanted).length;
  return `${formatCount(countOf('error'), 'error')}, ${formatCount(countOf('warning'), 'warning')}`;
}

/** What is wrong with the directories of a cache. */

import type { CacheDirDiagnosis } from '@alluxio-ts/common/protocol/diagnosis';
import { formatSize, MIB } from '@alluxio-ts/common/units';
import { type Finding, Findings } from './finding.ts';

/** Slower ones are slower than most storages that they stand before. */
const speedMinBytesPerSecond = 50 * MIB;

export function diskFindings(worker: string, dirs: readonly CacheDirDiagnosis[]): readonly Finding[] {
  const findings = new Findings('disk');
  for (const dir of dirs) {
    const subject = `${dir.dir} at ${worker}`;
    judgeState(findings, subject, dir);
    judgeSpace(findings, subject, dir);
    if (dir.speed) judgeSpeed(findings, subject, dir.speed);
  }
  return findings.found;
}

function judgeState(findings: Findings, subject: string, dir: CacheDirDiagnosis): void {
  const { corruptPageCount, failedReadCount, failedWriteCount, reason, state } = dir;
  const failures = `since its start ${failedWriteCount} writes and ${failedReadCount} reads failed`;
  switch (state) {
    case 'ok':
      if (failedReadCount + failedWriteCount + corruptPageCount === 0) findings.ok(subject, 'it takes pages');
      else
        findings.warning(
          subject,
          `it takes pages; ${failures}, ${corruptPageCount} pages were damaged`,
          'look at the log of the kernel for the disk; what is damaged is dropped and fetched again',
        );
      return;
    case 'suspect':
      findings.error(
        subject,
        `it takes no new pages (${reason ?? 'its log says why'}); ${failures}`,
        'look whether it is full, read-only or failing; it is probed and used again by itself, and its pages are read meanwhile',
      );
      return;
    case 'out':
      findings.error(
        subject,
        `it is not used (${reason ?? 'its log says why'}); ${failures}`,
        'look whether the disk is mounted and answers, else replace it; it is probed and used again by itself, and reads go to other directories or the storage meanwhile',
      );
      return;
    case 'unused':
      findings.error(
        subject,
        `left out at the start: ${reason ?? 'its log says why'}`,
        'make it usable (alluxio.worker.page.store.dirs), then start the worker again',
      );
      return;
    default:
      state satisfies never;
  }
}

function judgeSpace(findings: Findings, subject: string, dir: CacheDirDiagnosis): void {
  if (dir.freeBytes === undefined) return;
  spaceFinding(findings, subject, { ...dir, freeBytes: dir.freeBytes });
}

/** The cache may use what it has and what is free. */
export function spaceFinding(
  findings: Findings,
  subject: string,
  {
    capacityBytes,
    freeBytes,
    usedBytes,
  }: Pick<CacheDirDiagnosis, 'capacityBytes' | 'usedBytes'> & {
    readonly freeBytes: number;
  },
): void {
  const text = `${formatSize(freeBytes)} are free, and the cache may grow from ${formatSize(usedBytes)} to ${formatSize(capacityBytes)}`;
  if (usedBytes + freeBytes >= capacityBytes) findings.ok(subject, text);
  else {
    findings.warning(
      subject,
      text,
      `make room, or set alluxio.worker.page.store.sizes to ${formatSize(usedBytes + freeBytes)} at most`,
    );
  }
}

function judgeSpeed(
  findings: Findings,
  subject: string,
  speed: NonNullable<CacheDirDiagnosis['speed']>,
): void {
  if ('fault' in speed) {
    findings.error(
      subject,
      `its speed cannot be measured: ${speed.fault.message}`,
      'look whether it is full or read-only',
    );
    return;
  }
  const { readBytesPerSecond, writeBytesPerSecond } = speed;
  const text = `it writes ${formatSize(writeBytesPerSecond)}/s and reads ${formatSize(readBytesPerSecond)}/s`;
  if (Math.min(readBytesPerSecond, writeBytesPerSecond) >= speedMinBytesPerSecond) findings.ok(subject, text);
  else findings.warning(subject, text, 'use a faster disk: the storage may be faster than its cache');
}

/** A job that goes on, in one line: for a person a bar that is drawn again and again, for a file one line after the other. */

import { clockText, shareDoneOf } from '@alluxio-ts/common/job-report';
import type { Job } from '@alluxio-ts/common/protocol/jobs';
import { formatCount, formatSize } from '@alluxio-ts/common/units';

const barChars = 20;
/** Over how long a rate is taken. */
const rateWindowMs = 5000;

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
  readonly share: number | undefined;
}

export class JobProgressLine {
  readonly #samples: Sample[] = [];

  /** The job as it was seen at that moment of a clock that only grows. */
  add(job: Job, atMs: number): void {
    const { loadedBytes, heldBytes } = job.shown;
    this.#samples.push({ atMs, bytes: loadedBytes + heldBytes, share: shareDoneOf(job) });
    while (atMs - (this.#samples[0]?.atMs ?? atMs) > rateWindowMs) this.#samples.shift();
  }

  text(job: Job): string {
    const { shown, total, state } = job;
    const share = shareDoneOf(job);
    const bytes = shown.loadedBytes + shown.heldBytes;
    const ofBytes = total?.isComplete ? ` of ${formatSize(total.bytes)}` : '';
    const files = total?.isComplete
      ? `${shown.processedFiles} of ${formatCount(total.files, 'file')}`
      : formatCount(shown.processedFiles, 'file');
    return [
      share === undefined ? undefined : `${barOf(share)} ${String(Math.floor(100 * share)).padStart(3)}%`,
      state === 'RUNNING' ? undefined : state.toLowerCase(),
      `${formatSize(bytes)}${ofBytes}`,
      `${formatSize(this.#bytesPerSecond())}/s`,
      files,
      job.givingWayWorkers ? 'gives way to readers' : undefined,
      shown.failedFiles === 0 ? undefined : `${shown.failedFiles} failed`,
      this.#leftText(share),
    ]
      .filter((part) => part !== undefined)
      .join('  ');
  }

  #bytesPerSecond(): number {
    const { first, last, seconds } = this.#span();
    return seconds > 0 ? Math.round((last.bytes - first.bytes) / seconds) : 0;
  }

  #leftText(share: number | undefined): string | undefined {
    const { first, last, seconds } = this.#span();
    const done = (last.share ?? 0) - (first.share ?? 0);
    if (share === undefined || first.share === undefined || done <= 0 || share >= 1) return undefined;
    return `${clockText(1000 * Math.round((seconds * (1 - share)) / done))} left`;
  }

  #span(): { readonly first: Sample; readonly last: Sample; readonly seconds: number } {
    const none = { atMs: 0, bytes: 0, share: undefined };
    const first = this.#samples[0] ?? none;
    const last = this.#samples.at(-1) ?? none;
    return { first, last, seconds: (last.atMs - first.atMs) / 1000 };
  }
}

function barOf(share: number): string {
  const full = Math.round(share * barChars);
  return `[${'#'.repeat(full)}${'.'.repeat(barChars - full)}]`;
}

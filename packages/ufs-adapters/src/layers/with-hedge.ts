/**
 * Hedged reads: a read that has not begun to answer when nearly all of the mount's others would have is asked a second time. Whichever begins first is passed on,
 * the other one is given up. Second requests are one in fifty at most, so they are sent a little after the time that 98 % of the recent answers began within.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import { HeldCount, receiveRead } from '../reception.ts';
import { RecentTimes } from '../recent-times.ts';
import { delegateTo } from './delegate.ts';
import type { ReadOptions, ReceiveOptions, Ufs, UfsRead, UfsReception } from '../ufs.ts';

/** Of all reads so many may be sent twice. */
const share = 0.02;
const savedMax = 3;
/** Before that many answers nothing is known of a storage. */
const samplesMin = 50;
/** One that is late by a little is about to come, and not worth one of the few requests. */
const lateFactor = 1.25;
const lateMinMs = 1;

/** Which of the two began to answer first; `refused`: there were too many second requests already. */
export type HedgeOutcome = 'first' | 'second' | 'refused';

export interface HedgeLayerOptions {
  readonly clock: Clock;
  readonly onHedge: (outcome: HedgeOutcome) => void;
}

interface Attempt<T> {
  readonly control: AbortController;
  /** Never rejects. */
  readonly answer: Promise<{ readonly begun: T } | { readonly thrown: unknown }>;
}

export function withHedge(ufs: Ufs, { clock, onHedge }: HedgeLayerOptions): Ufs {
  const times = new RecentTimes();
  let saved = 0;

  function attempt<T>(
    outer: AbortSignal | undefined,
    begin: (signal: AbortSignal) => Promise<T>,
  ): Attempt<T> {
    const control = new AbortController();
    const signal = outer ? AbortSignal.any([outer, control.signal]) : control.signal;
    const answer = begin(signal).then(
      (begun) => ({ begun }),
      (thrown: unknown) => ({ thrown }),
    );
    return { control, answer };
  }

  /** True when the first has not answered by the time that nearly all do. */
  async function isLate({ answer }: Attempt<unknown>): Promise<boolean> {
    if (times.count < samplesMin) return false;
    return !(await resolvesWithin(clock, times.quantile(1 - share) * lateFactor + lateMinMs, answer));
  }

  function mayHedge(): boolean {
    if (saved < 1) return false;
    saved--;
    return true;
  }

  /** The answer of whichever begins first; a failure counts only when both fail. */
  async function raced<T>(first: Attempt<T>, second: Attempt<T>): Promise<Awaited<Attempt<T>['answer']>> {
    const winner = await Promise.race([
      first.answer.then((answer) => ({ of: first, answer })),
      second.answer.then((answer) => ({ of: second, answer })),
    ]);
    const other = winner.of === first ? second : first;
    if ('thrown' in winner.answer) {
      const answer = await other.answer;
      onHedge(other === second && !('thrown' in answer) ? 'second' : 'first');
      return 'thrown' in answer ? winner.answer : answer;
    }
    other.control.abort();
    onHedge(winner.of === first ? 'first' : 'second');
    return winner.answer;
  }

  /** What has begun first, of the two. */
  async function hedged<T>(
    outer: AbortSignal | undefined,
    beginFirst: (signal: AbortSignal) => Promise<T>,
    beginSecond: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const beginMs = clock.monotonic();
    saved = Math.min(savedMax, saved + share);
    const first = attempt(outer, beginFirst);
    let answered = first.answer;
    if (await isLate(first)) {
      if (mayHedge()) answered = raced(first, attempt(outer, beginSecond));
      else onHedge('refused');
    }
    const answer = await answered;
    if ('thrown' in answer) throw answer.thrown;
    times.add(clock.monotonic() - beginMs);
    return answer.begun;
  }

  function read(key: string, options: ReadOptions): Promise<UfsRead> {
    const begin = (signal: AbortSignal): Promise<UfsRead> => ufs.read(key, { ...options, signal });
    return hedged(options.signal, begin, begin);
  }

  /** Both may be answering for a moment: only the first has the caller's memory, and what the other one gives is copied there once the first is given up. */
  async function receive(key: string, options: ReceiveOptions): Promise<UfsReception> {
    const { into: _into, nextBytes: _nextBytes, onReceived, ...asked } = options;
    const told = new HeldCount();
    const take = await hedged<() => UfsReception | Promise<UfsReception>>(
      options.signal,
      async (signal) => {
        const reception = await ufs.receive(key, { ...options, signal, onReceived: told.tell });
        return () => {
          told.follow(onReceived);
          return reception;
        };
      },
      async (signal) => {
        const read = await ufs.read(key, { ...asked, signal });
        return () => receiveRead(async () => read, options);
      },
    );
    return take();
  }

  return { ...delegateTo(ufs), read, receive };
}

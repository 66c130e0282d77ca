/**
 * Asks peers that owe an answer for too long whether they live: a slow storage lets a peer say so, a frozen machine or a broken line does not. One question at a
 * time to each peer, and one timer, however many answers are waited for. A peer that sends anything lives, however late it answers questions, and nobody is called gone
 * by a process that is late itself.
 */

import type { Clock } from '../clock.ts';
import { resolvesWithin } from '../resolves-within.ts';
import { Agent } from 'undici';

/** So long an answer is waited for before its peer is asked, and again from each sign of life on. */
const silenceMs = 500;
/** A peer that does not say in this time that it lives counts as gone. */
const healthTimeoutMs = 1000;
/** A process that wakes so much too late did not look in time. */
const lateMaxMs = 100;
/** So often in a row it gives its peer the time once more. */
const lateCountMax = 3;
const healthTarget = '/v1/health';

interface OpenAnswer {
  readonly onSilent: () => void;
  /** On the monotonic clock: when its peer is asked. */
  dueMs: number;
}

interface OpenPeer {
  /** In the order in which they are due. */
  readonly answers: Set<OpenAnswer>;
  /** On the monotonic clock: its last sign of life. */
  heardMs: number;
}

export class SilenceWatch {
  readonly #clock: Clock;
  /** Apart from the reads, which may have taken all their connections. */
  readonly #agent = new Agent({ connections: 1, connect: { timeout: healthTimeoutMs } });
  /** By `host:port`. Only peers that owe an answer are here. */
  readonly #open = new Map<string, OpenPeer>();
  readonly #closed = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `onSilent` when the peer shows no sign of life before what is returned is called, which says that its answer is complete. */
  begin(peer: string, onSilent: () => void): () => void {
    const answer = { onSilent, dueMs: this.#clock.monotonic() + silenceMs };
    const known = this.#open.get(peer);
    const open = known ?? { answers: new Set(), heardMs: Number.NEGATIVE_INFINITY };
    open.answers.add(answer);
    if (!known) {
      this.#open.set(peer, open);
      void this.#watch(peer, open);
    }
    return () => open.answers.delete(answer);
  }

  /** Something came from the peer. */
  heard(peer: string): void {
    const open = this.#open.get(peer);
    if (open) open.heardMs = this.#clock.monotonic();
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the peers are watched no longer'));
    await this.#agent.destroy();
  }

  /** Goes on for as long as the peer owes an answer; never fails. */
  async #watch(peer: string, open: OpenPeer): Promise<void> {
    const { signal } = this.#closed;
    const { answers } = open;
    for (let [next] = answers; next && !signal.aborted; [next] = answers) {
      const askedMs = this.#clock.monotonic();
      if (next.dueMs > askedMs) {
        await this.#clock.sleep(next.dueMs - askedMs, { signal }).catch(() => undefined);
        continue;
      }
      const isHeard = open.heardMs > next.dueMs - silenceMs;
      const isAlive = isHeard || (await this.#lives(peer)) || open.heardMs >= askedMs;
      const answeredMs = isHeard ? open.heardMs : this.#clock.monotonic();
      // Also for what became due while the question was under way: nobody waits for two of them.
      for (const answer of [...answers].filter(({ dueMs }) => dueMs <= askedMs || dueMs <= answeredMs)) {
        answers.delete(answer);
        if (!isAlive) {
          answer.onSilent();
          continue;
        }
        answer.dueMs = answeredMs + silenceMs;
        answers.add(answer);
      }
    }
    this.#open.delete(peer);
  }

  /** Whatever the answer is, it is one. */
  async #lives(peer: string): Promise<boolean> {
    const over = new AbortController();
    try {
      return await this.#isInTime(this.#ask(peer, over.signal));
    } catch {
      return false;
    } finally {
      over.abort();
    }
  }

  async #ask(peer: string, signal: AbortSignal): Promise<void> {
    const { body } = await this.#agent.request({
      origin: `http://${peer}`,
      path: healthTarget,
      method: 'GET',
      signal,
    });
    await body.dump();
  }

  /** Whether it resolves in the time for an answer; where this process was not there to see it, in the time after that. */
  async #isInTime(answer: Promise<void>): Promise<boolean> {
    for (let lateCount = 0; ; lateCount++) {
      const dueMs = this.#clock.monotonic() + healthTimeoutMs;
      if (await resolvesWithin(this.#clock, healthTimeoutMs, answer)) return true;
      const isLate = this.#clock.monotonic() - dueMs > lateMaxMs;
      if (!isLate || lateCount === lateCountMax) return false;
    }
  }
}

/**
 * Asks peers that owe an answer for too long whether they live: a slow storage lets a peer say so, a frozen machine or a broken line does not. One question at a
 * time to each peer, and one timer, however many answers are waited for.
 */

import type { Clock } from '../clock.ts';
import { Agent } from 'undici';

/** So long an answer is waited for before its peer is asked, and again from each sign of life on. */
const silenceMs = 500;
/** A peer that does not say in this time that it lives counts as gone. */
const healthTimeoutMs = 1000;
const healthTarget = '/v1/health';

interface OpenAnswer {
  readonly onSilent: () => void;
  /** On the monotonic clock: when its peer is asked. */
  dueMs: number;
}

export class SilenceWatch {
  readonly #clock: Clock;
  /** Apart from the reads, which may have taken all their connections. */
  readonly #agent = new Agent({ connections: 1, connect: { timeout: healthTimeoutMs } });
  /** By `host:port`, in the order in which they are due. Only peers that owe an answer are here. */
  readonly #open = new Map<string, Set<OpenAnswer>>();
  readonly #closed = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `onSilent` when the peer shows no sign of life before what is returned is called, which says that its answer is complete. */
  begin(peer: string, onSilent: () => void): () => void {
    const answer = { onSilent, dueMs: this.#clock.monotonic() + silenceMs };
    const known = this.#open.get(peer);
    const open = known ?? new Set();
    open.add(answer);
    if (!known) {
      this.#open.set(peer, open);
      void this.#watch(peer, open);
    }
    return () => open.delete(answer);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the peers are watched no longer'));
    await this.#agent.destroy();
  }

  /** Goes on for as long as the peer owes an answer; never fails. */
  async #watch(peer: string, open: Set<OpenAnswer>): Promise<void> {
    const { signal } = this.#closed;
    for (let [next] = open; next && !signal.aborted; [next] = open) {
      const now = this.#clock.monotonic();
      if (next.dueMs > now) {
        await this.#clock.sleep(next.dueMs - now, { signal }).catch(() => undefined);
        continue;
      }
      const isAlive = await this.#lives(peer);
      const answeredMs = this.#clock.monotonic();
      // Also for what became due while the question was under way: nobody waits for two of them.
      for (const answer of [...open].filter(({ dueMs }) => dueMs <= answeredMs)) {
        open.delete(answer);
        if (!isAlive) {
          answer.onSilent();
          continue;
        }
        answer.dueMs = answeredMs + silenceMs;
        open.add(answer);
      }
    }
    this.#open.delete(peer);
  }

  /** Whatever the answer is, it is one. */
  async #lives(peer: string): Promise<boolean> {
    const over = new AbortController();
    this.#clock.sleep(healthTimeoutMs, { signal: over.signal }).then(
      () => over.abort(),
      () => undefined,
    );
    try {
      const { body } = await this.#agent.request({
        origin: `http://${peer}`,
        path: healthTarget,
        method: 'GET',
        signal: over.signal,
      });
      await body.dump();
      return true;
    } catch {
      return false;
    } finally {
      over.abort();
    }
  }
}

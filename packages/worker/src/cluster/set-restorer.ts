/**
 * Puts a set of entries (mounts, rules) back into a state store that was emptied. Each worker that holds the set claims to; after the hold the claim that knows
 * most is acted upon, by its owner, in transactions that hold only as long as nobody has added anything to the new store. So an entry that was
 * removed comes back only when no worker that saw it go is there within the time.
 */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import { claimsPrefixOf, decodeClaim, encodeClaim, encodeGuard } from '@alluxio-ts/common/protocol/guard';
import type { KvEntry, KvLease, KvStore } from '@alluxio-ts/common/state/kv-store';

export interface SetRestorerOptions {
  readonly store: KvStore;
  readonly guardKey: string;
  /** How long claims are waited for when more than half of the members have made theirs, and how long a claim outlives its worker. */
  readonly holdMs: number;
  /** How many workers were alive when the store was lost. */
  readonly memberCount: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a worker knows of the set in the store that was lost. */
export interface KnownSet {
  /** Of that store's guard. */
  readonly guardId: string;
  readonly revision: number;
  readonly entries: readonly KvEntry[];
}

/** So many holds are waited through for workers that have not come back. */
const holdsMax = 6;

/** Below the bound of a transaction, with the guard. */
const entriesPerTxn = 100;
const bytesPerTxn = 1024 * 1024;

export class SetRestorer {
  readonly #options: SetRestorerOptions;
  readonly #key: string;
  readonly #sinceMs: number;
  #lease: KvLease | undefined;

  constructor(options: SetRestorerOptions) {
    this.#options = options;
    this.#key = `${claimsPrefixOf(options.guardKey)}${options.random.uuid()}`;
    this.#sinceMs = options.clock.monotonic();
  }

  /** To be called again after each hold. Resolves with whether the set was put back. Fails with StateStoreUnavailable. */
  async attempt(known: KnownSet, call: { readonly signal: AbortSignal }): Promise<boolean> {
    const { store, guardKey, holdMs, memberCount, clock, logger } = this.#options;
    await this.#claim(known, call);
    const { entries } = await store.list(claimsPrefixOf(guardKey), call);
    const claims = entries.flatMap(({ key, value }) => {
      const claim = decodeClaim(value);
      return claim?.id === known.guardId ? [{ key, revision: claim.revision }] : [];
    });
    const waitedMs = clock.monotonic() - this.#sinceMs;
    const isMajority = claims.length * 2 > memberCount;
    logger.warn({ guardKey, claims: claims.length, memberCount, waitedMs }, 'restore-claimed');
    if (waitedMs < (isMajority ? holdMs : holdsMax * holdMs)) return false;
    const [best] = claims.toSorted(
      (one, other) => other.revision - one.revision || (one.key < other.key ? -1 : 1),
    );
    return best?.key === this.#key && (await this.#putBack(known, call));
  }

  /** Withdraws the claim. */
  async close(): Promise<void> {
    await this.#lease?.revoke().catch(() => undefined);
  }

  async #claim({ guardId, revision }: KnownSet, call: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#lease && !this.#lease.lost.aborted) return;
    const { store, holdMs } = this.#options;
    const lease = await store.lease(holdMs, call);
    this.#lease = lease;
    await store.txn(
      { put: [{ key: this.#key, value: encodeClaim({ schema: 1, id: guardId, revision }), lease }] },
      call,
    );
  }

  async #putBack(known: KnownSet, call: { readonly signal: AbortSignal }): Promise<boolean> {
    const { store, guardKey, random, logger } = this.#options;
    const compare = [{ key: guardKey, modRevision: 0 }];
    const { guardId: id, revision } = known;
    const guard = {
      key: guardKey,
      value: encodeGuard({ schema: 1, id: random.uuid(), restored: { id, revision } }),
    };
    const groups = groupsOf(known.entries);
    for (const [index, group] of groups.entries()) {
      // The guard comes last: until it is there the same is done again, by this worker or the next.
      const put = index === groups.length - 1 ? [...group, guard] : group;
      if (!(await store.txn({ compare, put }, call)).succeeded) return false;
    }
    logger.warn({ guardKey, entries: known.entries.length, revision }, 'set-restored');
    return true;
  }
}

/** At least one, which may be empty. */
function groupsOf(
  entries: readonly KvEntry[],
): readonly { readonly key: string; readonly value: string }[][] {
  const groups: { readonly key: string; readonly value: string }[][] = [[]];
  let sizeBytes = 0;
  for (const { key, value } of entries) {
    const entryBytes = Buffer.byteLength(key) + Buffer.byteLength(value);
    if ((groups.at(-1)?.length ?? 0) >= entriesPerTxn || sizeBytes + entryBytes > bytesPerTxn) {
      groups.push([]);
      sizeBytes = 0;
    }
    sizeBytes += entryBytes;
    groups.at(-1)?.push({ key, value });
  }
  return groups;
}

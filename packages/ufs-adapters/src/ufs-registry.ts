/** Opens the storage behind a mount: finds the adapter of its scheme, reads the options, and puts the layers around it in the one right order. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { canonicalScheme, type MountUri } from '@alluxio-ts/common/ufs-path';
import { Circuit } from './circuit.ts';
import { type CircuitChange, CircuitKeeper } from './circuit-keeper.ts';
import { withCircuit } from './layers/with-circuit.ts';
import { withHedge } from './layers/with-hedge.ts';
import { withLimit } from './layers/with-limit.ts';
import { type UfsMetrics, withMetrics } from './layers/with-metrics.ts';
import { withReadRate } from './layers/with-read-rate.ts';
import { withRetry } from './layers/with-retry.ts';
import { localMountOptions, localUfsOptions } from './local/options.ts';
import { LocalUfs } from './local/ufs.ts';
import { checkKnownOptions, isSecretOption, type MountOption, maskSecrets } from './mount-options.ts';
import type { ReadRate } from './read-rate.ts';
import { RetryBudget } from './retry-budget.ts';
import { s3MountOptions, s3UfsOptions } from './s3/options.ts';
import { S3Ufs } from './s3/ufs.ts';
import type { Ufs } from './ufs.ts';

export type MountOptions = Readonly<Record<string, string>>;

export interface OpenUfsOptions {
  /**
   * Default true. False passes over options that no table knows, for a mount that a newer version stored: it must go on to be
   * served. Where a local mount may lie is held in either case.
   */
  readonly check?: boolean;
  /** Of `Circuit.newMemory`, for a mount that is opened in several threads; its own unless given. */
  readonly circuit?: SharedArrayBuffer;
}

/** An adapter as it stands alone, and the bounds that the layers are to hold for it. */
export interface OpenedUfs {
  readonly ufs: Ufs;
  readonly concurrencyMax: number;
  readonly retryCountMax: number;
  /** False for a storage of this machine, which a rate of the network and second requests do not concern. */
  readonly isRemote: boolean;
}

/** A kind of storage. */
export interface UfsScheme {
  /** In its canonical form (`s3`, not `s3a`). */
  readonly scheme: string;
  readonly options: readonly MountOption[];
  /** Makes no call to the storage. What it repeats by itself is taken from the budget. Throws InvalidOptions or AccessDenied. */
  open(
    uri: MountUri,
    options: MountOptions,
    how: { readonly check: boolean; readonly budget: RetryBudget },
  ): OpenedUfs;
}

export interface UfsRegistryOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** `alluxio.ufs.local.allowed.roots`; none allows no local mount. */
  readonly localAllowedRoots: readonly string[];
  /** Where the calls to storages of this scheme are counted. */
  readonly metrics?: (scheme: string) => UfsMetrics;
  /** Of the process: defaults of some adapters. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The part of a mount's requests that this registry's storages may have under way, where several share them: 1 is all. */
  readonly concurrencyShare?: number;
  /** What the bodies of remote storages are held to; no limit unless given. */
  readonly readRate?: ReadRate | undefined;
  /** Whether reads of remote storages are hedged. Default false. */
  readonly hedgesReads?: boolean;
  /** False in a thread whose circuits another one keeps. Default true. */
  readonly keepsCircuits?: boolean;
  /** Told when a storage is left alone because it does not answer, and when it is not any more. */
  readonly onCircuitChange?: (scheme: string, change: CircuitChange) => void;
  /** Further kinds of storage; one with the name of a built-in takes its place. */
  readonly extraSchemes?: readonly UfsScheme[];
}

export interface UfsRegistry {
  /** Canonical names, in order. */
  readonly schemes: readonly string[];
  /** Makes no call to the storage (`probeUfs` does). Throws UfsUnsupported, InvalidOptions, AccessDenied. */
  open(uri: MountUri, options: MountOptions, how?: OpenUfsOptions): Ufs;
  /** For a scheme or an option that no table has, names that look like secrets are. */
  isSecretOption(scheme: string, name: string): boolean;
  /** Empty for a scheme that is not known. */
  knownOptions(scheme: string): readonly MountOption[];
  /** The options with `xxx` for every secret. */
  maskOptions(scheme: string, options: MountOptions): Record<string, string>;
}

/** For each request slot of a mount so many calls may wait; beyond that the caller is told to come back. */
const queuedPerSlotMax = 64;
/** Twice the threads that Node gives to file systems by default and some more, so that a slow directory does not take them all idle. */
const localConcurrencyMax = 32;
const localRetryCountMax = 2;
const retryPauseMinMs = 50;
const retryPauseMaxMs = 5000;
/** Together with the time that connecting may take, whoever asks a storage that is away hears so within 5 s. */
const repeatWithinMs = 3000;
/** No file has to have this name: any answer is one. */
const askedName = '.alluxio-answers';

export function createUfsRegistry(options: UfsRegistryOptions): UfsRegistry {
  const kinds = new Map<string, UfsScheme>();
  for (const kind of [localScheme(options), s3Scheme(options), ...(options.extraSchemes ?? [])]) {
    kinds.set(kind.scheme, kind);
  }
  const schemes = [...kinds.keys()].sort();
  const kindOf = (scheme: string): UfsScheme | undefined => kinds.get(canonicalScheme(scheme.toLowerCase()));

  function open(uri: MountUri, mountOptions: MountOptions, how: OpenUfsOptions = {}): Ufs {
    const kind = kindOf(uri.scheme);
    if (!kind) {
      throw new AlluxioError(
        'UfsUnsupported',
        `no adapter for ${uri.scheme}://; this version has ${schemes.join(', ')}`,
      );
    }
    const metrics = options.metrics?.(kind.scheme);
    const budget = new RetryBudget((outcome) => metrics?.retry(outcome));
    const opened = kind.open(uri, mountOptions, { check: how.check ?? true, budget });
    return decorate(opened, { uri, circuit: how.circuit ?? Circuit.newMemory(), budget, metrics }, options);
  }

  return {
    schemes,
    open,
    isSecretOption: (scheme, name) => isSecretOption(kindOf(scheme)?.options, name),
    knownOptions: (scheme) => kindOf(scheme)?.options ?? [],
    maskOptions: (scheme, mountOptions) => maskSecrets(kindOf(scheme)?.options, mountOptions),
  };
}

/**
 * metrics › retry › hedge › limit › circuit › rate › adapter: a pause between tries takes no place, what is counted is what the caller saw, and nobody waits for a
 * place to ask a storage that is left alone. A second request takes a place like the first.
 */
function decorate(opened: OpenedUfs, mount: OpenedMount, options: UfsRegistryOptions): Ufs {
  const { clock, random, concurrencyShare = 1 } = options;
  const { budget, metrics, uri } = mount;
  const concurrencyMax = Math.ceil(opened.concurrencyMax * concurrencyShare);
  const circuit = new Circuit({ name: uri.text, clock, memory: mount.circuit });
  const paced = pace(opened, options.readRate, metrics);
  const told = keepCircuit(withCircuit(paced, { circuit, clock }), circuit, uri, options);
  const limited = withLimit(told, {
    concurrencyMax,
    queueMax: concurrencyMax * queuedPerSlotMax,
    name: uri.text,
    check: () => circuit.check(),
  });
  const hedged =
    options.hedgesReads && opened.isRemote
      ? withHedge(limited, { clock, onHedge: (outcome) => metrics?.hedge(outcome) })
      : limited;
  const retried = withRetry(hedged, {
    clock,
    random,
    triesMax: opened.retryCountMax + 1,
    pauseMinMs: retryPauseMinMs,
    pauseMaxMs: retryPauseMaxMs,
    repeatWithinMs,
    budget,
  });
  return metrics ? withMetrics(retried, { metrics, clock }) : retried;
}

function pace(
  { isRemote, ufs }: OpenedUfs,
  rate: ReadRate | undefined,
  metrics: UfsMetrics | undefined,
): Ufs {
  return rate && isRemote ? withReadRate(ufs, { rate, onPaused: (ms) => metrics?.pausedMs(ms) }) : ufs;
}

interface OpenedMount {
  readonly uri: MountUri;
  readonly circuit: SharedArrayBuffer;
  readonly budget: RetryBudget;
  readonly metrics: UfsMetrics | undefined;
}

/** The storage, whose circuit is kept until it is closed. */
function keepCircuit(ufs: Ufs, circuit: Circuit, uri: MountUri, options: UfsRegistryOptions): Ufs {
  const { clock, keepsCircuits = true, onCircuitChange } = options;
  if (!keepsCircuits) return ufs;
  const keeper = new CircuitKeeper({
    circuit,
    clock,
    ask: (how) => ufs.stat(askedName, how),
    onChange: (change) => onCircuitChange?.(canonicalScheme(uri.scheme), change),
  });
  return {
    ...ufs,
    close: async () => {
      await keeper.close();
      await ufs.close();
    },
  };
}

function localScheme({ clock, random, localAllowedRoots }: UfsRegistryOptions): UfsScheme {
  return {
    scheme: 'file',
    options: localMountOptions,
    open: (uri, options, { check }) => {
      if (check) checkKnownOptions('file', options, localMountOptions);
      const ufs = new LocalUfs(localUfsOptions(uri, localAllowedRoots), { clock, random });
      return { ufs, concurrencyMax: localConcurrencyMax, retryCountMax: localRetryCountMax, isRemote: false };
    },
  };
}

function s3Scheme({ clock, environment }: UfsRegistryOptions): UfsScheme {
  return {
    scheme: 's3',
    options: s3MountOptions,
    open: (uri, options, { budget, check }) => {
      const read = s3UfsOptions({ uri, options, environment, check });
      const ufs = new S3Ufs(read, { clock, budget });
      return { ufs, concurrencyMax: read.connectionsMax, retryCountMax: read.retryCountMax, isRemote: true };
    },
  };
}

/** Adds, lists and removes mounts in the state store. Whoever serves files watches the same keys; nobody is told by a call. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { faultOf, type StoredMountProbe } from '@alluxio-ts/common/protocol/diagnosis';
import { maskMount, sealMount, unsealMount } from '@alluxio-ts/common/protocol/mount-secrets';
import {
  decodeMount,
  encodeMount,
  type Mount,
  mountsGuardKeyOf,
  mountsPrefixOf,
} from '@alluxio-ts/common/protocol/mounts';
import { isSealed, type SecretBox } from '@alluxio-ts/common/secret-box';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { additionGuard } from './addition-guard.ts';
import { checkMount, normaliseMountPath } from './mount-rules.ts';

/** What the control needs to know of under storages. */
export interface MountProbe {
  /**
   * Opens the under storage with these options and asks it for something; resolves when it answers. Fails like a Ufs, with
   * UfsUnsupported for a scheme without an adapter and InvalidOptions for an option that the adapter does not know.
   */
  check(uri: string, options: Readonly<Record<string, string>>, call: MountCallOptions): Promise<void>;
  /** Whether the value of this option must not be shown. True for names it does not know that sound like secrets. */
  isSecretOption(scheme: string, name: string): boolean;
}

export interface MountCallOptions {
  readonly signal?: AbortSignal;
}

export interface MountRequest {
  /** `/s3` or `/s3/`. */
  readonly path: string;
  readonly ufsUri: string;
  readonly options: Readonly<Record<string, string>>;
  /** False stores the mount without asking the under storage first. */
  readonly check: boolean;
}

export interface MountControlOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly probe: MountProbe;
  /** Undefined without a key file: secrets are then stored as they are, which is warned of. */
  readonly box: SecretBox | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Others may add at the same time; each loser looks again. More in a row than this is told to the caller. */
const triesMax = 5;

export class MountControl {
  readonly #options: MountControlOptions;
  #hasWarned = false;

  constructor(options: MountControlOptions) {
    this.#options = options;
  }

  /** The mounts in the order of their paths, secrets masked. */
  async list(call: MountCallOptions = {}): Promise<readonly Mount[]> {
    const mounts = await this.#read(call);
    return mounts.map((mount) => this.#masked(mount));
  }

  /** Asks the under storage of every mount, all at once. */
  async probeAll(call: MountCallOptions = {}): Promise<readonly StoredMountProbe[]> {
    const { box, clock, probe } = this.#options;
    const asked = (await this.#read(call)).map(async (mount): Promise<StoredMountProbe> => {
      const { path, ufsUri } = mount;
      const begunMs = clock.monotonic();
      const fault = await Promise.resolve()
        .then(() => probe.check(ufsUri, unsealMount(mount, box).options, call))
        .then(() => undefined, faultOf);
      const durationMs = Math.round(clock.monotonic() - begunMs);
      const isSecret = this.#isSecretOf(mount);
      const hasClearSecrets = Object.entries(mount.options).some(
        ([name, value]) => isSecret(name) && !isSealed(value),
      );
      return { path, ufsUri, durationMs, hasClearSecrets, ...(fault ? { fault } : {}) };
    });
    return Promise.all(asked);
  }

  /**
   * The mount as it was added, secrets masked. Fails with InvalidArgument or AlreadyExists naming the rule, with what the probe says,
   * and with StateConflict when others kept changing the mounts meanwhile.
   */
  async add(request: MountRequest, call: MountCallOptions = {}): Promise<Mount> {
    const mount: Mount = {
      schema: 1,
      path: normaliseMountPath(request.path),
      ufsUri: request.ufsUri,
      options: request.options,
    };
    // Before the probe, so that an obvious refusal needs no under storage; again with each try, because it may have changed.
    checkMount(mount, await this.#read(call));
    if (request.check) await this.#options.probe.check(mount.ufsUri, mount.options, call);
    const value = encodeMount(this.#sealed(mount));
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      if (await this.#tryAdd(mount, value, call)) {
        this.#options.logger.info({ path: mount.path, ufsUri: mount.ufsUri }, 'mount-added');
        return this.#masked(mount);
      }
    }
    throw new AlluxioError('StateConflict', 'others keep changing the mounts; look again, then repeat');
  }

  /** The mount that was removed, secrets masked. Fails with MountNotFound. */
  async remove(path: string, call: MountCallOptions = {}): Promise<Mount> {
    const key = this.#keyOf(normaliseMountPath(path));
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const entry = await this.#options.store.get(key, call);
      if (!entry) throw await this.#notMounted(path, call);
      const { succeeded } = await this.#options.store.txn(
        { compare: [{ key, modRevision: entry.modRevision }], delete: [key] },
        call,
      );
      if (succeeded) {
        this.#options.logger.info({ path }, 'mount-removed');
        return this.#masked(decodeMount(entry.key, entry.value));
      }
    }
    throw new AlluxioError('StateConflict', 'others keep changing the mounts; look again, then repeat');
  }

  /** The guard is read first, so that an addition behind the list makes the transaction fail. */
  async #tryAdd(mount: Mount, value: string, call: MountCallOptions): Promise<boolean> {
    const { store, clusterName } = this.#options;
    const guard = await additionGuard(this.#options, mountsGuardKeyOf(clusterName), call);
    checkMount(mount, await this.#read(call));
    const key = this.#keyOf(mount.path);
    const { succeeded } = await store.txn(
      {
        compare: [{ key, modRevision: 0 }, guard.compare],
        put: [{ key, value }, guard.put],
      },
      call,
    );
    return succeeded;
  }

  async #read(call: MountCallOptions): Promise<readonly Mount[]> {
    const { entries } = await this.#options.store.list(mountsPrefixOf(this.#options.clusterName), call);
    return entries.map((entry) => decodeMount(entry.key, entry.value));
  }

  async #notMounted(path: string, call: MountCallOptions): Promise<AlluxioError> {
    const mounts = await this.#read(call);
    const present = mounts.map((mount) => mount.path).join(', ');
    const hint = present === '' ? 'there are no mounts' : `mounted: ${present}`;
    return new AlluxioError('MountNotFound', `nothing is mounted at ${normaliseMountPath(path)}; ${hint}`);
  }

  #keyOf(path: string): string {
    return mountsPrefixOf(this.#options.clusterName) + path.slice(1);
  }

  #sealed(mount: Mount): Mount {
    const isSecret = this.#isSecretOf(mount);
    if (this.#options.box) return sealMount(mount, this.#options.box, isSecret);
    if (!this.#hasWarned && Object.keys(mount.options).some(isSecret)) {
      this.#hasWarned = true;
      this.#options.logger.warn(
        {
          path: mount.path,
          option: 'alluxio.security.key.file',
          meaning: 'SECRETS OF MOUNTS ARE STORED IN CLEAR TEXT: there is no key file to seal them with',
        },
        'mount-secrets-stored-in-clear-text',
      );
    }
    return mount;
  }

  #masked(mount: Mount): Mount {
    return maskMount(mount, this.#isSecretOf(mount));
  }

  #isSecretOf(mount: Mount): (name: string) => boolean {
    const { scheme } = parseMountUri(mount.ufsUri);
    return (name) => this.#options.probe.isSecretOption(scheme, name);
  }
}

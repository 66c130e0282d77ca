/** The workers of a cluster as the coordinator sees them: who they are by the state store, what they say by asking them. Nothing is kept here. */

import { WorkerControlClient } from '@alluxio-ts/common/client/worker-control-client';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { LogLevel } from '@alluxio-ts/common/log-level';
import type { FreeResult, WorkerStats, WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { faultOf, type WorkerReport } from '@alluxio-ts/common/protocol/diagnosis';
import type { WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';

/** A registered worker. */
export interface FleetMember {
  /** `worker-<uuid>`. */
  readonly id: string;
  readonly isOnline: boolean;
  readonly address: WorkerNetAddress;
}

export interface WorkerFleetOptions {
  /** Fails with StateStoreUnavailable. */
  readonly members: (call: FleetCall) => Promise<readonly FleetMember[]>;
  readonly secret: string;
  readonly clock: Clock;
}

export interface FleetCall {
  readonly signal?: AbortSignal;
}

/** Whoever looks at the list waits for no worker longer than this. */
const statsTimeoutMs = 2000;

/** A worker waits for its storages itself; its disks may be slow. Both are below the time that a client waits. */
const diagnosisTimeoutMs = 10_000;
const diskTimeoutMs = 45_000;

export class WorkerFleet {
  readonly #options: WorkerFleetOptions;

  constructor(options: WorkerFleetOptions) {
    this.#options = options;
  }

  /** In the order of their ids. A worker that does not answer in time has no stats. */
  async list(call: FleetCall): Promise<readonly WorkerView[]> {
    const members = await this.#options.members(call);
    const views = members.map(async (member): Promise<WorkerView> => {
      const stats = member.isOnline ? await this.#statsOf(member) : undefined;
      const status = member.isOnline ? 'ONLINE' : 'OFFLINE';
      return { id: member.id, status, address: member.address, ...(stats ? { stats } : {}) };
    });
    return (await Promise.all(views)).toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  /** On every online worker. Fails with what the first one failed with, after all have answered, and says which. */
  async free(path: string, call: FleetCall): Promise<FreeResult> {
    const online = (await this.#options.members(call)).filter((member) => member.isOnline);
    if (online.length === 0) {
      throw new AlluxioError(
        'Unreachable',
        'no worker is online, so there is no cache to free; "alluxio info nodes" lists them',
      );
    }
    const results = await Promise.allSettled(
      online.map((member) => this.#ask(member, (client) => client.free(path, call))),
    );
    const total = { fileCount: 0, pageCount: 0, freedBytes: 0 };
    for (const result of results) {
      if (result.status === 'rejected') throw result.reason;
      total.fileCount += result.value.fileCount;
      total.pageCount += result.value.pageCount;
      total.freedBytes += result.value.freedBytes;
    }
    return total;
  }

  /** Fails with InvalidArgument for an id that is not registered, with Unreachable for one that does not answer. */
  async freeAll(workerId: string, call: FleetCall): Promise<FreeResult> {
    return this.#askById(workerId, call, (client) => client.freeAll(call));
  }

  /** Fails as `freeAll` does. */
  logLevel(workerId: string, call: FleetCall): Promise<LogLevel> {
    return this.#askById(workerId, call, (client) => client.logLevel(call));
  }

  /** Until that worker starts again. Fails as `freeAll` does. */
  setLogLevel(workerId: string, level: LogLevel, call: FleetCall): Promise<LogLevel> {
    return this.#askById(workerId, call, (client) => client.setLogLevel(level, call));
  }

  async #askById<T>(
    workerId: string,
    call: FleetCall,
    run: (client: WorkerControlClient) => Promise<T>,
  ): Promise<T> {
    const member = (await this.#options.members(call)).find(({ id }) => id === workerId);
    if (member) return this.#ask(member, run);
    throw new AlluxioError('InvalidArgument', `no worker ${workerId}; "alluxio info nodes" lists them`);
  }

  /** In the order of their ids: how each is that is online, or why it does not say. */
  async diagnose(call: { readonly measuresDisks: boolean }): Promise<readonly WorkerReport[]> {
    const members = await this.#options.members({});
    const reports = members.map(async (member): Promise<WorkerReport> => {
      const { address, id, isOnline } = member;
      if (!isOnline) return { id, status: 'OFFLINE', address };
      return { id, status: 'ONLINE', address, ...(await this.#diagnosisOf(member, call)) };
    });
    return (await Promise.all(reports)).toSorted((one, other) => (one.id < other.id ? -1 : 1));
  }

  async #diagnosisOf(
    member: FleetMember,
    { measuresDisks }: { readonly measuresDisks: boolean },
  ): Promise<Pick<WorkerReport, 'diagnosis' | 'clockAheadMs' | 'fault'>> {
    const timeoutMs = measuresDisks ? diskTimeoutMs : diagnosisTimeoutMs;
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const diagnosis = await this.#ask(member, (client) => client.diagnose({ measuresDisks, signal }));
      return { diagnosis, clockAheadMs: Math.round(diagnosis.nowMs - this.#options.clock.now()) };
    } catch (thrown) {
      if (!signal.aborted) return { fault: faultOf(thrown) };
      const message = `it holds its lease and does not answer within ${timeoutMs / 1000} s`;
      return { fault: { code: 'Unreachable', message } };
    }
  }

  async #statsOf(member: FleetMember): Promise<WorkerStats | undefined> {
    const signal = AbortSignal.timeout(statsTimeoutMs);
    return this.#ask(member, (client) => client.stats({ signal })).catch(() => undefined);
  }

  async #ask<T>(member: FleetMember, run: (client: WorkerControlClient) => Promise<T>): Promise<T> {
    const { secret, clock } = this.#options;
    const { Host: host, HttpServerPort: port } = member.address;
    const client = new WorkerControlClient({ host, port, secret, clock });
    try {
      return await run(client);
    } catch (thrown) {
      const error = toAlluxioError(thrown);
      throw new AlluxioError(error.code, `${member.id}: ${error.message}`, {
        cause: error,
        context: error.context,
      });
    } finally {
      await client.close();
    }
  }
}

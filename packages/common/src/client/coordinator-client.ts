/** Calls the coordinator's REST API. Its failures come back as the AlluxioErrors that they were on the other side. */

import type { Clock } from '../clock.ts';
import { definedFields } from '../defined-fields.ts';
import type { ConfEntity } from '../protocol/conf-entities.ts';
import type { LogLevel } from '../log-level.ts';
import type {
  ClusterInfo,
  FreeResult,
  LogLevelQuery,
  LogLevels,
  MountView,
  WorkerView,
} from '../protocol/coordinator-api.ts';
import {
  type CoordinatorOperationId,
  type CoordinatorOperations,
  coordinatorOperations,
} from '../protocol/coordinator-operations.ts';
import type { ClusterDiagnosis } from '../protocol/diagnosis.ts';
import type { AnswerOf, GivenBodyOf, GivenQueryOf, Operation } from '../protocol/operation.ts';
import type { Job } from '../protocol/jobs.ts';
import { makePeerMark, peerMarkHeader } from '../protocol/peer-mark.ts';
import type { Rule } from '../protocol/rules.ts';
import type { TtlRule } from '../protocol/ttl-rules.ts';
import { type ClientCallOptions, type RemoteCall, RemoteProcess } from './remote-process.ts';

export interface CoordinatorClientOptions {
  readonly host: string;
  readonly port: number;
  /** Needed for changing calls unless the coordinator is open. */
  readonly token?: string;
  /** By which a member of the cluster is known instead of the token. */
  readonly peer?: { readonly secret: string; readonly clock: Clock };
}

type NewMount = GivenBodyOf<CoordinatorOperations['addMount']>;
type NewTtlRule = GivenBodyOf<CoordinatorOperations['putTtlRule']>;
type NewConfEntity = GivenBodyOf<CoordinatorOperations['putConf']>;

type DiagnosisCall = ClientCallOptions & { readonly measuresDisks: boolean };
type NewJob = GivenBodyOf<CoordinatorOperations['submitJob']>;
type JobsQuery = GivenQueryOf<CoordinatorOperations['listJobs']>;
type SubmittedJob = AnswerOf<CoordinatorOperations['submitJob']>;

/** What the operation is given, and nothing that it does not take. */
type Given<Id extends CoordinatorOperationId> = ClientCallOptions & {
  readonly query?: GivenQueryOf<CoordinatorOperations[Id]>;
  readonly body?: GivenBodyOf<CoordinatorOperations[Id]>;
};

/** Far above a full list: 1,000 mounts whose options are mostly short. */
const answerMaxBytes = 16 * 1024 * 1024;

export class CoordinatorClient {
  readonly #remote: RemoteProcess;

  constructor({ peer, ...options }: CoordinatorClientOptions) {
    this.#remote = new RemoteProcess({
      ...options,
      ...(peer
        ? {
            headersOf: ({ method, pathAndQuery }) => ({
              [peerMarkHeader]: makePeerMark({ method, target: pathAndQuery }, peer.secret, peer.clock.now()),
            }),
          }
        : {}),
      name: 'coordinator',
      unreachableHint:
        'start one with "alluxio standalone", or set alluxio.coordinator.hostname and alluxio.coordinator.web.port to where it runs',
      foreignHint: 'check alluxio.coordinator.hostname and alluxio.coordinator.web.port',
      answerMaxBytes,
    });
  }

  async listMounts(call: ClientCallOptions = {}): Promise<readonly MountView[]> {
    return (await this.#call('listMounts', call)).mounts;
  }

  addMount(mount: NewMount, call: ClientCallOptions = {}): Promise<MountView> {
    return this.#call('addMount', { body: mount, ...call });
  }

  removeMount(path: string, call: ClientCallOptions = {}): Promise<MountView> {
    return this.#call('removeMount', { query: { path }, ...call });
  }

  /** The cache rules in the order of their patterns. */
  async listRules(call: ClientCallOptions = {}): Promise<readonly Rule[]> {
    return (await this.#call('listRules', call)).rules;
  }

  /** Adds the rule, or replaces the one of the same pattern. */
  putRule(rule: Rule, call: ClientCallOptions = {}): Promise<Rule> {
    return this.#call('putRule', { body: rule, ...call });
  }

  removeRule(pattern: string, call: ClientCallOptions = {}): Promise<Rule> {
    return this.#call('removeRule', { query: { pattern }, ...call });
  }

  /** The TTL rules in the order of their directories. */
  async listTtlRules(call: ClientCallOptions = {}): Promise<readonly TtlRule[]> {
    return (await this.#call('listTtlRules', call)).rules;
  }

  /** Adds the rule, or replaces the one of the same directory; with `mustExist` it adds none. */
  putTtlRule(rule: NewTtlRule, call: ClientCallOptions = {}): Promise<TtlRule> {
    return this.#call('putTtlRule', { body: rule, ...call });
  }

  removeTtlRule(path: string, call: ClientCallOptions = {}): Promise<TtlRule> {
    return this.#call('removeTtlRule', { query: { path }, ...call });
  }

  /** The configuration entities in the order of their keys. */
  async listConf(call: ClientCallOptions = {}): Promise<readonly ConfEntity[]> {
    return (await this.#call('listConf', call)).entities;
  }

  /** Adds the entity, or replaces the one of the same key. */
  putConf(entity: NewConfEntity, call: ClientCallOptions = {}): Promise<ConfEntity> {
    return this.#call('putConf', { body: entity, ...call });
  }

  removeConf(key: string, call: ClientCallOptions = {}): Promise<ConfEntity> {
    return this.#call('removeConf', { query: { key }, ...call });
  }

  /** Drops what is cached below a path, on every worker. */
  freeCache(path: string, call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#call('freeCache', { query: { path }, ...call });
  }

  /** Drops everything that one worker has cached; it is named by id, host, or host and port. */
  freeWorker(worker: string, call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#call('freeCache', { query: { worker }, ...call });
  }

  /** Drops everything that any worker has cached. */
  formatCache(call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#call('freeCache', { query: { all: 'true' }, ...call });
  }

  /** The job, or the one that has not ended and does the same. */
  submitJob(job: NewJob, call: ClientCallOptions = {}): Promise<SubmittedJob> {
    return this.#call('submitJob', { body: job, ...call });
  }

  /** Of those about one path, index or alias the newest alone. */
  async listJobs(query: JobsQuery = {}, call: ClientCallOptions = {}): Promise<readonly Job[]> {
    return (await this.#call('listJobs', { query, ...call })).jobs;
  }

  /** Fails with JobNotFound for one that has ended, or is not known. */
  async stopJob(id: string, call: ClientCallOptions = {}): Promise<Job> {
    return (await this.#call('stopJob', { query: { id }, ...call })).job;
  }

  async listWorkers(call: ClientCallOptions = {}): Promise<readonly WorkerView[]> {
    return (await this.#call('listWorkers', call)).workers;
  }

  /** Takes a lost worker off the list of members. */
  async removeWorker(id: string, call: ClientCallOptions = {}): Promise<void> {
    await this.#call('removeWorker', { query: { id }, ...call });
  }

  info(call: ClientCallOptions = {}): Promise<ClusterInfo> {
    return this.#call('getInfo', call);
  }

  /** Of the coordinator unless the query names workers. */
  logLevels(query: LogLevelQuery, call: ClientCallOptions = {}): Promise<LogLevels> {
    return this.#call('getLogLevel', { query, ...call });
  }

  /** Until the processes start again. */
  setLogLevel(level: LogLevel, query: LogLevelQuery, call: ClientCallOptions = {}): Promise<LogLevels> {
    return this.#call('putLogLevel', { query, body: { level }, ...call });
  }

  /** Measuring the disks writes to them, and needs the token. */
  diagnose({ measuresDisks, ...call }: DiagnosisCall): Promise<ClusterDiagnosis> {
    return measuresDisks ? this.#call('measureDisks', call) : this.#call('getDiagnosis', call);
  }

  /** As Prometheus scrapes it. */
  async metricsText(call: ClientCallOptions = {}): Promise<string> {
    const { method, path } = coordinatorOperations.getMetrics;
    return (await this.#remote.callText({ method, pathAndQuery: path, ...call })).text;
  }

  /** Fails with Unreachable when the coordinator does not say in time that it is there. */
  async health(call: Pick<RemoteCall, 'signal' | 'deadlineMs'> = {}): Promise<void> {
    const { answer, method, path } = coordinatorOperations.getHealth;
    await this.#remote.callJson({ method, pathAndQuery: path, ...call }, answer);
  }

  async close(): Promise<void> {
    await this.#remote.close();
  }

  async #call<Id extends CoordinatorOperationId>(
    id: Id,
    { query, body, ...call }: Given<Id>,
  ): Promise<AnswerOf<CoordinatorOperations[Id]>> {
    const { method, path, answer }: Operation = coordinatorOperations[id];
    const pathAndQuery = query === undefined ? path : path + queryText(query);
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const value = await this.#remote.callJson({ method, pathAndQuery, ...sent, ...call }, answer);
    // Checked by the schema from which the type comes.
    return value as AnswerOf<CoordinatorOperations[Id]>;
  }
}

/** What is undefined is left out. */
function queryText(query: Readonly<Record<string, string | undefined>>): string {
  const given = new URLSearchParams(definedFields(query)).toString();
  return given === '' ? '' : `?${given}`;
}

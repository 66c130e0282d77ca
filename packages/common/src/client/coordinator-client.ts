/** Calls the coordinator's REST API. Its failures come back as the AlluxioErrors that they were on the other side. */

import {
  type ClusterInfo,
  cachePath,
  clusterInfoSchema,
  diagnosisPath,
  type FreeResult,
  freeResultSchema,
  healthPath,
  healthSchema,
  infoPath,
  type MountView,
  metricsPath,
  mountListSchema,
  mountsPath,
  mountViewSchema,
  ruleListSchema,
  rulesPath,
  type WorkerView,
  workerListSchema,
  workerQuerySchema,
  workersPath,
} from '../protocol/coordinator-api.ts';
import { type ClusterDiagnosis, clusterDiagnosisSchema } from '../protocol/diagnosis.ts';
import { type Rule, ruleSchema } from '../protocol/rules.ts';
import { type ClientCallOptions, RemoteProcess } from './remote-process.ts';

export interface CoordinatorClientOptions {
  readonly host: string;
  readonly port: number;
  /** Needed for changing calls unless the coordinator is open. */
  readonly token?: string;
}

export interface NewMount {
  readonly path: string;
  readonly ufsUri: string;
  readonly options: Readonly<Record<string, string>>;
  readonly check: boolean;
}

/** Far above a full list: 1,000 mounts whose options are mostly short. */
const answerMaxBytes = 16 * 1024 * 1024;

export class CoordinatorClient {
  readonly #remote: RemoteProcess;

  constructor(options: CoordinatorClientOptions) {
    this.#remote = new RemoteProcess({
      ...options,
      name: 'coordinator',
      unreachableHint:
        'start one with "alluxio standalone", or set alluxio.coordinator.hostname and alluxio.coordinator.web.port to where it runs',
      foreignHint: 'check alluxio.coordinator.hostname and alluxio.coordinator.web.port',
      answerMaxBytes,
    });
  }

  async listMounts(call: ClientCallOptions = {}): Promise<readonly MountView[]> {
    const { mounts } = await this.#remote.callJson(
      { method: 'GET', pathAndQuery: mountsPath, ...call },
      mountListSchema,
    );
    return mounts;
  }

  addMount(mount: NewMount, call: ClientCallOptions = {}): Promise<MountView> {
    return this.#remote.callJson(
      { method: 'POST', pathAndQuery: mountsPath, body: JSON.stringify(mount), ...call },
      mountViewSchema,
    );
  }

  removeMount(path: string, call: ClientCallOptions = {}): Promise<MountView> {
    const pathAndQuery = withQuery(mountsPath, { path });
    return this.#remote.callJson({ method: 'DELETE', pathAndQuery, ...call }, mountViewSchema);
  }

  /** The cache rules in the order of their patterns. */
  async listRules(call: ClientCallOptions = {}): Promise<readonly Rule[]> {
    const { rules } = await this.#remote.callJson(
      { method: 'GET', pathAndQuery: rulesPath, ...call },
      ruleListSchema,
    );
    return rules;
  }

  /** Adds the rule, or replaces the one of the same pattern. */
  putRule(rule: Rule, call: ClientCallOptions = {}): Promise<Rule> {
    return this.#remote.callJson(
      { method: 'PUT', pathAndQuery: rulesPath, body: JSON.stringify(rule), ...call },
      ruleSchema,
    );
  }

  removeRule(pattern: string, call: ClientCallOptions = {}): Promise<Rule> {
    const pathAndQuery = withQuery(rulesPath, { pattern });
    return this.#remote.callJson({ method: 'DELETE', pathAndQuery, ...call }, ruleSchema);
  }

  /** Drops what is cached below a path, on every worker. */
  freeCache(path: string, call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#free({ path }, call);
  }

  /** Drops everything that one worker has cached; it is named by id, host, or host and port. */
  freeWorker(worker: string, call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#free({ worker }, call);
  }

  /** Drops everything that any worker has cached. */
  formatCache(call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#free({ all: 'true' }, call);
  }

  async listWorkers(call: ClientCallOptions = {}): Promise<readonly WorkerView[]> {
    const { workers } = await this.#remote.callJson(
      { method: 'GET', pathAndQuery: workersPath, ...call },
      workerListSchema,
    );
    return workers;
  }

  /** Takes a lost worker off the list of members. */
  async removeWorker(id: string, call: ClientCallOptions = {}): Promise<void> {
    const pathAndQuery = `${workersPath}?id=${encodeURIComponent(id.toWellFormed())}`;
    await this.#remote.callJson({ method: 'DELETE', pathAndQuery, ...call }, workerQuerySchema);
  }

  info(call: ClientCallOptions = {}): Promise<ClusterInfo> {
    return this.#remote.callJson({ method: 'GET', pathAndQuery: infoPath, ...call }, clusterInfoSchema);
  }

  /** Measuring the disks writes to them, and needs the token. */
  diagnose(call: ClientCallOptions & { readonly measuresDisks: boolean }): Promise<ClusterDiagnosis> {
    const { measuresDisks, ...rest } = call;
    const method = measuresDisks ? 'POST' : 'GET';
    return this.#remote.callJson({ ...rest, method, pathAndQuery: diagnosisPath }, clusterDiagnosisSchema);
  }

  /** As Prometheus scrapes it. */
  async metricsText(call: ClientCallOptions = {}): Promise<string> {
    return (await this.#remote.callText({ method: 'GET', pathAndQuery: metricsPath, ...call })).text;
  }

  async health(call: ClientCallOptions = {}): Promise<void> {
    await this.#remote.callJson({ method: 'GET', pathAndQuery: healthPath, ...call }, healthSchema);
  }

  async close(): Promise<void> {
    await this.#remote.close();
  }

  #free(query: Readonly<Record<string, string>>, call: ClientCallOptions): Promise<FreeResult> {
    return this.#remote.callJson(
      { method: 'DELETE', pathAndQuery: withQuery(cachePath, query), ...call },
      freeResultSchema,
    );
  }
}

function withQuery(resource: string, query: Readonly<Record<string, string>>): string {
  return `${resource}?${new URLSearchParams(query).toString()}`;
}

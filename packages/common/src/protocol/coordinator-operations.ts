/** Every call of the coordinator's port, by its id. The server registers its routes from here, the client calls by it. */

import { z } from 'zod';
import {
  confEntitySchema,
  confEntityViewSchema,
  confKeyQuerySchema,
  confListSchema,
} from './conf-entities.ts';
import {
  addMountBodySchema,
  clusterInfoSchema,
  freeQuerySchema,
  freeResultSchema,
  healthSchema,
  mountListSchema,
  mountViewSchema,
  pathQuerySchema,
  ruleListSchema,
  rulePatternQuerySchema,
  workerListSchema,
  workerQuerySchema,
} from './coordinator-api.ts';
import type { Operation } from './operation.ts';
import { ruleSchema } from './rules.ts';

const mounts = { path: '/api/v1/mounts', tag: 'mounts' } as const;
const rules = { path: '/api/v1/rules', tag: 'rules' } as const;
const conf = { path: '/api/v1/conf', tag: 'conf' } as const;
const workers = { path: '/api/v1/workers', tag: 'workers' } as const;

/** The headings of the table. */
export const coordinatorTags = {
  mounts: 'Paths of the namespace and the under storages that they stand for',
  rules: 'Which files are kept in the cache, and for how long they are taken as unchanged',
  conf: 'What clients of the cluster are configured with, by key',
  cache: 'What is cached',
  workers: 'The processes that cache',
  cluster: 'All of it together',
  process: 'The coordinator itself',
} as const;

export const coordinatorOperations = {
  listMounts: {
    ...mounts,
    method: 'GET',
    summary: 'The mounts in the order of their paths, secrets as `xxx`',
    changes: false,
    status: 200,
    answer: mountListSchema,
  },
  addMount: {
    ...mounts,
    method: 'POST',
    summary: 'Mounts an under storage at a direct child of the root',
    changes: true,
    about: ['path', 'ufsUri'],
    body: addMountBodySchema,
    status: 201,
    answer: mountViewSchema,
  },
  removeMount: {
    ...mounts,
    method: 'DELETE',
    summary: 'Removes a mount; what is in the under storage stays as it is',
    changes: true,
    about: ['path'],
    query: pathQuerySchema,
    status: 200,
    answer: mountViewSchema,
  },
  listRules: {
    ...rules,
    method: 'GET',
    summary: 'The cache rules in the order of their patterns',
    changes: false,
    status: 200,
    answer: ruleListSchema,
  },
  putRule: {
    ...rules,
    method: 'PUT',
    summary: 'Adds a cache rule, or replaces the one of the same pattern',
    changes: true,
    about: ['pattern'],
    body: ruleSchema,
    bodyName: 'the rule',
    status: 200,
    answer: ruleSchema,
  },
  removeRule: {
    ...rules,
    method: 'DELETE',
    summary: 'Removes a cache rule',
    changes: true,
    about: ['pattern'],
    query: rulePatternQuerySchema,
    status: 200,
    answer: ruleSchema,
  },
  listConf: {
    ...conf,
    method: 'GET',
    summary: 'The configuration entities in the order of their keys',
    changes: false,
    status: 200,
    answer: confListSchema,
  },
  putConf: {
    ...conf,
    method: 'PUT',
    summary: 'Adds a configuration entity, or replaces the one of the same key',
    changes: true,
    about: ['key'],
    body: confEntitySchema,
    status: 200,
    answer: confEntityViewSchema,
  },
  removeConf: {
    ...conf,
    method: 'DELETE',
    summary: 'Removes a configuration entity',
    changes: true,
    about: ['key'],
    query: confKeyQuerySchema,
    status: 200,
    answer: confEntityViewSchema,
  },
  freeCache: {
    method: 'DELETE',
    path: '/api/v1/cache',
    tag: 'cache',
    summary: 'Drops what is cached below a path on every worker, or everything of one worker, or of all',
    changes: true,
    about: ['path', 'worker', 'all'],
    query: freeQuerySchema,
    status: 200,
    answer: freeResultSchema,
  },
  listWorkers: {
    ...workers,
    method: 'GET',
    summary: 'The registered workers in the order of their ids',
    changes: false,
    status: 200,
    answer: workerListSchema,
  },
  removeWorker: {
    ...workers,
    method: 'DELETE',
    summary: 'Takes a lost worker off the list of members',
    changes: true,
    about: ['id'],
    query: workerQuerySchema,
    status: 200,
    answer: workerQuerySchema,
  },
  getInfo: {
    method: 'GET',
    path: '/api/v1/info',
    tag: 'cluster',
    summary: 'Version, uptime, and the sums over the workers that answer',
    changes: false,
    status: 200,
    answer: clusterInfoSchema,
  },
  getOpenApi: {
    method: 'GET',
    path: '/api/v1/openapi.json',
    tag: 'process',
    summary: 'This API as an OpenAPI 3.1 document',
    changes: false,
    status: 200,
    answer: z.looseObject({ openapi: z.string() }),
  },
  getMetrics: {
    method: 'GET',
    path: '/metrics',
    tag: 'process',
    summary: 'The metrics of the process as Prometheus scrapes them',
    changes: false,
    status: 200,
    answer: z.string(),
    textType: 'text/plain; version=0.0.4; charset=utf-8',
  },
  getHealth: {
    method: 'GET',
    path: '/health',
    tag: 'process',
    summary: 'Whether the process answers',
    changes: false,
    status: 200,
    answer: healthSchema,
  },
  getReady: {
    method: 'GET',
    path: '/ready',
    tag: 'process',
    summary: 'Whether changing calls can work: the state store answers',
    changes: false,
    status: 200,
    answer: healthSchema,
  },
} as const satisfies Readonly<Record<string, Operation>>;

export type CoordinatorOperations = typeof coordinatorOperations;
export type CoordinatorOperationId = keyof CoordinatorOperations;

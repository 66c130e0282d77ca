import type { Clock } from '@alluxio-ts/common/clock';
import { definedFields } from '@alluxio-ts/common/defined-fields';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { subjectOf, type Job } from '@alluxio-ts/common/protocol/jobs';
import { loadViewOf } from '@alluxio-ts/common/protocol/load-api';
import { OtherAnswer } from '@alluxio-ts/common/protocol/operation';
import type { JobControl, JobSelector } from '../control/jobs/job-control.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';

export interface JobHandlersOptions {
  /** Undefined where no worker can be reached: the calls then answer NotImplemented. */
  readonly jobs: JobControl | undefined;
  readonly clock: Clock;
}

type JobOperation = 'submitJob' | 'listJobs' | 'stopJob' | 'submitLoad' | 'getLoad' | 'stopLoad';

const listedDefault = 1000;

export function jobHandlers({ jobs, clock }: JobHandlersOptions): Pick<CoordinatorHandlers, JobOperation> {
  const control = (): JobControl => {
    if (jobs) return jobs;
    throw new AlluxioError('NotImplemented', 'this coordinator has no workers that could load');
  };
  return {
    submitJob: async ({ body, signal }) => {
      if (body.kind === 'LOAD') return control().submitLoad(definedFields(body), { signal });
      if (body.paths?.length !== 1 || body.index !== undefined) {
        throw new AlluxioError('InvalidArgument', 'a job that frees takes one path');
      }
      return control().submitFree(body.paths[0] ?? '', { signal });
    },
    listJobs: async ({ query, signal }) => {
      const { alias, id, index, kind, path, state, lastKey, count } = query;
      if ((id ?? alias ?? index ?? path) !== undefined) {
        const selector = definedFields({ id, alias, index, paths: path === undefined ? undefined : [path] });
        const job = await control().find(kind ?? 'LOAD', selector, { signal });
        return { jobs: job && (state ?? job.state) === job.state ? [job] : [] };
      }
      const filter = definedFields({ kind, state, lastId: lastKey, count: Number(count ?? listedDefault) });
      const found = await control().list(filter, { signal });
      // A job that is named by itself comes with them.
      return { jobs: found.map((job) => ({ ...job, failures: [] })) };
    },
    stopJob: async ({ query, signal }) => {
      const job = await control().stop('LOAD', query, { signal });
      if (job) return { job };
      throw new AlluxioError(
        'JobNotFound',
        `there is no job ${query.id} that has not ended; "alluxio job list" shows them`,
      );
    },
    submitLoad: async ({ body, signal }) => {
      const { options, ...what } = body;
      const { sync, ...loadOptions } = options;
      const { job, isNew } = await control().submitLoad(
        { ...definedFields(what), options: loadOptions },
        { signal },
      );
      const known = sync ? await control().whenEnded(job.id, { signal }) : job;
      const status = isNew ? 'submitted' : 'already submitted, and not ended: it goes on';
      const answer = submittedAnswer(known, status);
      return isNew ? answer : new OtherAnswer(409, answer);
    },
    getLoad: async ({ query, signal }) => {
      const { lastKey, count, ...selector } = query;
      const asked = Object.keys(selector).length;
      if (asked > 1) throw new AlluxioError('InvalidArgument', 'name a load by one of id, index and alias');
      if (asked === 1) {
        const job = await control().find('LOAD', definedFields(selector), { signal });
        if (job) return loadViewOf(job, clock.now());
        throw new AlluxioError('JobNotFound', `No job found for ${Object.values(selector).join()}`);
      }
      const filter = definedFields({
        kind: 'LOAD' as const,
        lastId: lastKey,
        count: Number(count ?? listedDefault),
      });
      const found = await control().list(filter, { signal });
      return { results: found.map((job) => loadViewOf(job, clock.now())) };
    },
    stopLoad: async ({ body, signal }) => {
      const job = await control().stop('LOAD', definedFields(body) as JobSelector, { signal });
      if (job) return submittedAnswer(job, 'stopping');
      throw new AlluxioError('JobNotFound', 'No job found that has not ended');
    },
  };
}

function submittedAnswer(job: Job, status: string) {
  return { id: job.id, alias: job.alias ?? job.id, state: job.state, status: `${status}: ${subjectOf(job)}` };
}

/** The worker's web port: `/metrics` for Prometheus, `/health` (the process answers) and `/ready` (it may be sent requests). */

import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { Metrics } from '@alluxio-ts/common/metrics';
import { fastify } from 'fastify';

export interface WorkerWebOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly metrics: Metrics;
  /** Why the worker should get no requests now; undefined when it may. */
  readonly notReady: () => string | undefined;
}

export interface WorkerWeb {
  readonly port: number;
  close(): Promise<void>;
}

/** Fails with PortTaken naming the port. */
export async function startWorkerWeb(options: WorkerWebOptions): Promise<WorkerWeb> {
  const server = fastify({ routerOptions: { ignoreTrailingSlash: true }, forceCloseConnections: 'idle' });
  server.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await options.metrics.scrape();
    return reply.type(contentType).send(text);
  });
  server.get('/health', async () => ({ status: 'ok' }));
  server.get('/ready', async (_request, reply) => {
    const reason = options.notReady();
    return reason === undefined ? { status: 'ready' } : reply.code(503).send({ status: 'not-ready', reason });
  });
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EADDRINUSE') throw thrown;
    throw new AlluxioError(
      'PortTaken',
      `port ${options.port} on ${options.host} is taken by another process; stop it or set alluxio.worker.web.port`,
      { cause: thrown },
    );
  }
  const address = server.server.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  return { port, close: () => server.close() };
}

/** How each member of etcd is. Every one is asked by itself, since a client of all of them takes whoever answers. */

import { faultOf, type StateMember } from '../protocol/diagnosis.ts';
import { EtcdConnection, type EtcdConnectionOptions } from './etcd-connection.ts';

export interface EtcdHealth {
  readonly members: readonly StateMember[];
  /** `Nospace`, `Corrupt`; of whichever member. */
  readonly alarms: readonly string[];
}

/** In the order of the endpoints. What fails is said of the member; throws InvalidOptions only. */
export async function etcdHealth(options: EtcdConnectionOptions): Promise<EtcdHealth> {
  const asked = await Promise.all(options.endpoints.map((endpoint) => askMember(endpoint, options)));
  return {
    members: asked.map(({ member }) => member),
    alarms: [...new Set(asked.flatMap(({ alarms }) => alarms))].sort(),
  };
}

async function askMember(
  endpoint: string,
  options: EtcdConnectionOptions,
): Promise<{ readonly member: StateMember; readonly alarms: readonly string[] }> {
  const connection = new EtcdConnection({ ...options, endpoints: [endpoint] });
  try {
    const call = { what: `asking ${endpoint} how it is`, repeatable: true };
    // The first call pays for the connection and, with a user, for the token.
    await connection.call(call, (client, deadline) => client.maintenance.status(deadline));
    const begunMs = options.clock.monotonic();
    const status = await connection.call(call, (client, deadline) => client.maintenance.status(deadline));
    const latencyMs = Math.round((options.clock.monotonic() - begunMs) * 10) / 10;
    const { alarms } = await connection.call(call, (client, deadline) =>
      client.maintenance.alarm({ action: 'Get' }, deadline),
    );
    const { version, dbSize } = status;
    return {
      member: { name: endpoint, latencyMs, version, sizeBytes: Number(dbSize) },
      alarms: alarms.map(({ alarm }) => alarm),
    };
  } catch (thrown) {
    return { member: { name: endpoint, fault: faultOf(thrown) }, alarms: [] };
  } finally {
    connection.close();
  }
}

import { loadOptions } from '@alluxio-ts/common/options';
import t from 'tap';
import { advertisedHost, type MachineNames } from '../src/advertised-host.ts';

const machine: MachineNames = {
  hostname: 'cache-1',
  hostAddress: '10.0.0.7',
  interfaceAddresses: ['10.0.0.8', '172.17.0.1'],
};

function hostWith(definitions: readonly string[], names: Partial<MachineNames> = {}): Promise<string> {
  const options = loadOptions({ environment: {}, homeDir: '/none', workingDir: '/none', definitions });
  return advertisedHost(options, async () => ({ ...machine, ...names }));
}

await t.test('a worker never tells others to come to 0.0.0.0', async (t) => {
  const everywhere = 'alluxio.bind.host=0.0.0.0';
  t.equal(await hostWith([]), '127.0.0.1', 'where it listens');
  t.equal(await hostWith(['alluxio.bind.host=10.1.1.1']), '10.1.1.1');
  t.equal(await hostWith([everywhere, 'alluxio.worker.hostname=cache.example']), 'cache.example');
  t.equal(await hostWith([everywhere]), '10.0.0.7');
  t.equal(await hostWith(['alluxio.bind.host=::']), '10.0.0.7');
  t.equal(await hostWith([everywhere], { hostAddress: '127.0.1.1' }), '10.0.0.8');
  t.equal(await hostWith([everywhere], { hostAddress: undefined, interfaceAddresses: [] }), 'cache-1');
});

await t.test('this machine knows a name or address of itself', async (t) => {
  const options = loadOptions({
    environment: {},
    homeDir: '/none',
    workingDir: '/none',
    definitions: ['alluxio.bind.host=0.0.0.0'],
  });
  t.notMatch(await advertisedHost(options), /^(0\.0\.0\.0|::|127\..*|)$/);
});

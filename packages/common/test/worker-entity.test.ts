import t from 'tap';
import { identityOfHost } from '../src/hash-ring.ts';
import { workerNetAddress } from '../src/protocol/worker-address.ts';
import {
  decodeWorkerEntity,
  encodeWorkerEntity,
  livePrefixOf,
  registeredPrefixOf,
  workerEntity,
  workerNameOf,
} from '../src/protocol/worker-entity.ts';

/** A value as Alluxio itself writes it. */
const foreignValue =
  '{"Identity":{"version":1,"identifier":"cb157baaafe04b988af01a4645d38456"},' +
  '"WorkerNetAddress":{"Host":"192.168.4.36","ContainerHost":"","RpcPort":29999,"DataPort":29997,"SecureRpcPort":0,' +
  '"NettyDataPort":29997,"WebPort":30000,"DomainSocketPath":"","HttpServerPort":28080},' +
  '"State":"AUTHORIZED","GenerationNumber":-1,"ServiceEntityName":"worker-cb157baa-afe0-4b98-8af0-1a4645d38456"}';

await t.test("Alluxio's own value is read, and written back the same but for our port", async (t) => {
  const entity = decodeWorkerEntity('key', foreignValue);
  t.equal(entity.name, 'worker-cb157baa-afe0-4b98-8af0-1a4645d38456');
  t.equal(Buffer.from(entity.identity.identifier).toString('hex'), 'cb157baaafe04b988af01a4645d38456');
  t.equal(entity.address.HttpServerPort, 28080);
  t.equal(entity.address.S3Port, 0);
  const ours = foreignValue.replace('"HttpServerPort":28080', '"HttpServerPort":28080,"S3Port":0');
  t.equal(encodeWorkerEntity(entity), ours);
});

await t.test('what is written is read back', async (t) => {
  const address = workerNetAddress({ host: 'worker-7', httpServerPort: 1, webPort: 2, s3Port: 3 });
  const entity = workerEntity(identityOfHost('worker-7'), address);
  t.same(decodeWorkerEntity('key', encodeWorkerEntity(entity)), entity);
});

await t.test('unknown fields are ignored and missing ones have a value for none', async (t) => {
  const value =
    '{"Identity":{"version":0,"identifier":"00000000000004d2"},"WorkerNetAddress":{"Host":"a","Zone":"z"},"Capacity":1}';
  t.match(decodeWorkerEntity('key', value), {
    name: 'worker-1234',
    address: { Host: 'a', ContainerHost: '', HttpServerPort: 0, S3Port: 0 },
    state: 'AUTHORIZED',
    generationNumber: -1,
  });
});

await t.test('what is not a worker is refused, naming its key', async (t) => {
  const bad = [
    '',
    'x',
    '{}',
    foreignValue.replace('cb157baaafe04b98', 'zz'),
    foreignValue.replace('29999', '"29999"'),
  ];
  for (const value of bad)
    t.throws(() => decodeWorkerEntity('/some/key', value), {
      code: 'Internal',
      message: /\/some\/key is not a worker/,
    });
});

await t.test('names and prefixes are those that clients look for', async (t) => {
  t.equal(workerNameOf(identityOfHost('a')), 'worker-0cc175b9-c0f1-36a8-b1c3-99e269772661');
  t.equal(livePrefixOf('c'), '/ServiceDiscovery/c/');
  t.equal(registeredPrefixOf('c'), '/DHT/c/AUTHORIZED/');
});

import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  builtAddonFile,
  loadFirstAddon,
  prebuiltMachines,
  prebuiltPackageOf,
  transportVersion,
} from '@alluxio-ts/transport/hotpath-addon';
import { isHotpathBuilt } from '@alluxio-ts/transport/hotpath-native';
import t from 'tap';

const prebuilt = prebuiltPackageOf(prebuiltMachines[0]);

t.test('what is not there is named', async (t) => {
  t.same(loadFirstAddon(['/none/alluxio-hotpath.node', prebuilt]), {
    kind: 'missing',
    reason: `there is neither /none/alluxio-hotpath.node nor ${prebuilt}`,
  });
});

t.test('what cannot be loaded is passed over, and named', async (t) => {
  const broken = join(t.testdir({}), 'broken.node');
  writeFileSync(broken, 'no library');
  t.match(loadFirstAddon([broken]), { kind: 'missing', reason: /broken\.node cannot be loaded \(.+\)/ });
  if (isHotpathBuilt()) t.match(loadFirstAddon([broken, builtAddonFile]), { kind: 'there' });
});

if (isHotpathBuilt()) {
  t.test(
    'what is built here is of the version of the package, as its manifest and that of its crate say',
    async (t) => {
      t.match(loadFirstAddon([builtAddonFile]), { kind: 'there', version: transportVersion });
    },
  );

  t.test('another version is passed over, and named', async (t) => {
    const other = join(t.testdir({}), 'other.node');
    copyFileSync(builtAddonFile, other);
    t.match(loadFirstAddon([other], '9.9.9'), {
      kind: 'missing',
      reason: new RegExp(`other\\.node is of version ${transportVersion} and not 9\\.9\\.9`),
    });
  });
} else t.pass('the addon was not built: there is no cargo here');

import { systemClock } from '@alluxio-ts/common/clock';
import { isPeerMark, makePeerMark } from '@alluxio-ts/common/protocol/peer-mark';
import t from 'tap';
import { describeRelay } from './support/peer-relay-suite.ts';

const secret = 'the secret of the cluster';

describeRelay(t, 'plain');

t.test('a mark holds for its request, its secret and its time', async (t) => {
  const request = { method: 'GET', target: '/internal/peer/s3/m/a' };
  const nowMs = systemClock.now();
  const mark = makePeerMark(request, secret, nowMs);
  t.ok(isPeerMark(mark, request, secret, nowMs));
  t.notOk(isPeerMark(mark, { ...request, method: 'HEAD' }, secret, nowMs));
  t.notOk(isPeerMark(mark, { ...request, target: '/internal/peer/s3/m/b' }, secret, nowMs));
  t.notOk(isPeerMark(mark, request, 'other', nowMs));
  t.notOk(isPeerMark(undefined, request, secret, nowMs));
  t.notOk(isPeerMark('1 0 zz', request, secret, nowMs));
  t.notOk(isPeerMark(mark, request, secret, nowMs + 301_000));
});

import t from 'tap';
import { chooseTransport } from '../src/create-parts.ts';
import { describeRelay } from './support/peer-relay-suite.ts';

if (chooseTransport('hotpath').kind === 'hotpath') describeRelay(t, 'hotpath');
else t.pass('the addon was not built: there is no cargo here');

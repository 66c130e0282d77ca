import { globSync, readFileSync } from 'node:fs';
import t from 'tap';
import ts from 'typescript';

/** The second argument of every call of a logger in the sources. */
function eventsOf(file: string): readonly (readonly [at: string, event: ts.Expression | undefined])[] {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);
  const found: (readonly [string, ts.Expression | undefined])[] = [];
  const visit = (node: ts.Node): void => {
    if (
      ts.isCallExpression(node) &&
      /logger\??\.(debug|info|warn|error)$/.test(node.expression.getText(source))
    ) {
      const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
      found.push([`${file}:${line}`, node.arguments[1]]);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

t.test('an event in the log is constant text in kebab-case', async (t) => {
  const root = new URL('../../', import.meta.url).pathname;
  const calls = globSync('packages/*/src/**/*.ts', { cwd: root }).flatMap((file) => eventsOf(root + file));
  t.ok(calls.length > 20, 'the calls are found');
  for (const [at, event] of calls) {
    const text = event && ts.isStringLiteral(event) ? event.text : undefined;
    if (text === undefined || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(text)) {
      t.fail(`${at}: ${text ?? 'the event is not a string literal'}`);
    }
  }
});

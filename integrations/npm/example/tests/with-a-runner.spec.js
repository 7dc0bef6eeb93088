// For vitest and mocha: their global set-up has restored and set `ASSETS_ROOT`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

describe('greetings', () => {
  for (const name of ['hello', 'goodbye']) {
    it(name, () => {
      const file = join(process.env.ASSETS_ROOT, 'sdk/greetings/tests/recordings', `${name}.json`);
      assert.equal(JSON.parse(readFileSync(file, 'utf8')).request, `GET /${name}`);
    });
  }
});

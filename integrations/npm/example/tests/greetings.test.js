// For `npm test`: `pretest` has restored, so it is enough to ask where the recordings are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { locate } from 'assets-sync';

// Recordings lie below the root as the package does below the code repo.
const recordings = join(locate(), 'sdk/greetings/tests/recordings');

for (const name of ['hello', 'goodbye', 'thanks', 'sorry']) {
  test(name, () => {
    const exchange = JSON.parse(readFileSync(join(recordings, `${name}.json`), 'utf8'));
    assert.equal(exchange.request, `GET /${name}`);
  });
}

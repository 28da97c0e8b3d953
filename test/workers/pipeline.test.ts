import { beforeAll, describe, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import { escrow, password, statementOf, TestSite, volume, type TestClient } from './support.js';

let site: TestSite;
let pipeline: Pipeline;
let client: TestClient;
beforeAll(async () => {
  site = await TestSite.create();
  pipeline = await site.pipeline({ reloadEveryMs: 0 });
  client = await site.client();
});
const run = { alone: true };

describe('a message with a recovery key', () => {
  test('is committed, answered under its reply key, and the same message again writes nothing', async () => {
    const keyId = newGuid();
    const sent = await client.message(escrow(volume([{ keyId, password: password(1) }])));
    const first = await pipeline.processMessage(sent.job, run);
    expect(first).toMatchObject({ verdict: 'done', written: true, keysWritten: 1 });
    expect(first.reply).toMatchObject({ disposition: 'COMMITTED', reason: 'NONE', retry: 'NONE' });
    const statement = await statementOf(sent, first.reply);
    expect(statement).toMatchObject({ disposition: 'COMMITTED', epoch: 1, siteDocumentVersion: 1 });
    expect(statement.volumes[0]?.keys[0]).toMatchObject({ status: 'COMMITTED', reason: 'NONE' });
    expect(statement.committedAtMs).toBeGreaterThan(0);

    const again = await client.seal(sent.job.messageId, sent.payload, sent.replyKey, 1);
    const second = await pipeline.processMessage(again.job, run);
    expect(second).toMatchObject({ written: false, keysWritten: 0 });
    const repeated = await statementOf(sent, second.reply);
    expect(repeated).toMatchObject({
      disposition: 'ALREADY_COMMITTED',
      committedAtMs: statement.committedAtMs,
      volumes: statement.volumes,
    });
    expect(await site.store.findKeys(keyId.slice(0, 8), 10)).toHaveLength(1);
  });
});

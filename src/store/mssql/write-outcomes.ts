import { bytes, flag, integer, integerOrNull } from './columns.js';
import { hexOf, type JsonRow } from './json-rows.js';
import { textOfJson } from './json-text.js';
import { packWords } from './long-values.js';
import { rowsOf } from './parameters.js';
import type { OutcomeJson, Reduction } from './reduce.js';
import { SELECT_SEQUENCE_TWINS } from './sequence-twins.js';
import type { Session, SqlParameters } from './session.js';

/** What the database says of a group once its outcomes are written, before the effects. */
export interface GroupFacts {
  /** Places of plans whose outcome was moved up. */
  readonly moved: ReadonlySet<number>;
  /** Hex ids of secrets that have a healthy generation. */
  readonly healthy: ReadonlySet<string>;
  /** The highest generation of each secret that has one, by hex id. */
  readonly generations: ReadonlyMap<string, number>;
  readonly hasDataKey: boolean;
  /** Places of plans whose sequence another message has. */
  readonly twins: ReadonlySet<number>;
}

/**
 * The first batch of a commit: the fence, then what decides over the rest. The plain insert waits
 * for whoever writes the same outcome, also for a transaction whose client is gone, and fails where
 * that one committed.
 */
export async function writeOutcomes(tx: Session, group: Reduction): Promise<GroupFacts> {
  const [moved = [], secrets = [], dataKeys = [], twins = []] = await tx.query(BATCH, parameters(group));
  const idOf = (row: (typeof secrets)[number]): string => hexOf(bytes(row, 'SecretId'));
  return {
    moved: new Set(moved.map((row) => integer(row, 'N'))),
    healthy: new Set(secrets.filter((row) => flag(row, 'Healthy')).map(idOf)),
    generations: new Map(
      secrets.map((row) => [
        idOf(row),
        Math.max(integerOrNull(row, 'KeyGeneration') ?? 0, integerOrNull(row, 'AuthGeneration') ?? 0),
      ]),
    ),
    hasDataKey: dataKeys.length > 0,
    twins: new Set(twins.map((row) => integer(row, 'N'))),
  };
}

function parameters(group: Reduction): SqlParameters {
  const [outcomes, replies] = packed(group.outcomes);
  const [moves, moveReplies] = packed(group.moves);
  return {
    ...{ outcomes: rowsOf(outcomes), replies, moves: rowsOf(moves), moveReplies },
    ...{ messages: rowsOf(group.messages), secretIds: rowsOf(group.secretIds) },
  };
}

function packed(rows: readonly OutcomeJson[]): [JsonRow[], ReturnType<typeof packWords>['parameter']] {
  const { places, parameter } = packWords(rows.map(({ sealedReply }) => sealedReply));
  return [rows.map(({ row }, i) => ({ ...row, ...places[i] })), parameter];
}

const OUTCOME_SHAPE = `N int '$.N', ClientId uniqueidentifier '$.ClientId', MessageId uniqueidentifier '$.MessageId',
    Digest varchar(64) '$.Digest', BodyType varchar(64) '$.BodyType', Epoch int '$.Epoch',
    Sequence bigint '$.Sequence', Disposition int '$.Disposition', Reason varchar(64) '$.Reason',
    Start int '$.Start', Length int '$.Length', Attempts int '$.Attempts',
    Stages nvarchar(max) '$.Stages' AS JSON, ReceivedAt datetime2(3) '$.ReceivedAt',
    DecidedAt datetime2(3) '$.DecidedAt', DecidedBy nvarchar(max) '$.DecidedBy'`;

/*
 * Results tell what was moved, for counts of rows are not to be relied upon: a row is ours where it
 * holds our reply and our stages. A row that already was so and final holds what we would have
 * written, so that it makes no difference.
 */
const BATCH = `
  INSERT INTO MPE_Outcomes (ClientId, MessageId, Digest, BodyType, Epoch, Sequence, Disposition, Reason,
    SealedReply, Attempts, Stages, ReceivedAt, DecidedAt, DecidedBy)
  SELECT j.ClientId, j.MessageId, CONVERT(varbinary(32), j.Digest, 2), j.BodyType, j.Epoch, j.Sequence,
    j.Disposition, j.Reason, SUBSTRING(@replies, j.Start, j.Length), j.Attempts, j.Stages, j.ReceivedAt,
    j.DecidedAt, ${textOfJson('j.DecidedBy')}
  FROM OPENJSON(@outcomes) WITH (${OUTCOME_SHAPE}) j
  ORDER BY j.ClientId, j.MessageId;

  UPDATE o SET
    DecidedAt = CASE WHEN o.Disposition = j.Disposition THEN o.DecidedAt ELSE j.DecidedAt END,
    Disposition = j.Disposition, Reason = j.Reason,
    SealedReply = SUBSTRING(@moveReplies, j.Start, j.Length),
    Attempts = CASE WHEN o.Attempts + 1 > j.Attempts THEN o.Attempts + 1 ELSE j.Attempts END,
    Stages = j.Stages, DecidedBy = ${textOfJson('j.DecidedBy')}, Epoch = j.Epoch, Sequence = j.Sequence,
    BodyType = j.BodyType
  FROM MPE_Outcomes o JOIN OPENJSON(@moves) WITH (${OUTCOME_SHAPE}) j
    ON o.ClientId = j.ClientId AND o.MessageId = j.MessageId
  WHERE o.Digest = CONVERT(varbinary(32), j.Digest, 2) AND o.Disposition <= j.Disposition AND o.Disposition < 3;

  SELECT j.N
  FROM MPE_Outcomes o JOIN OPENJSON(@moves) WITH (${OUTCOME_SHAPE}) j
    ON o.ClientId = j.ClientId AND o.MessageId = j.MessageId
  WHERE o.Digest = CONVERT(varbinary(32), j.Digest, 2) AND o.Disposition = j.Disposition
    AND o.SealedReply = SUBSTRING(@moveReplies, j.Start, j.Length) COLLATE Latin1_General_BIN2
    AND o.Stages = j.Stages COLLATE Latin1_General_BIN2;

  SELECT s.SecretId,
    CASE WHEN EXISTS (SELECT 1 FROM MPE_HealthySecrets h WHERE h.SecretId = s.SecretId) THEN 1 ELSE 0 END AS Healthy,
    (SELECT MAX(k.Generation) FROM MPE_KeySecrets k WHERE k.SecretId = s.SecretId) AS KeyGeneration,
    (SELECT MAX(a.Generation) FROM MPE_TpmOwnerAuthSecrets a WHERE a.SecretId = s.SecretId) AS AuthGeneration
  FROM (SELECT CONVERT(varbinary(32), j.SecretId, 2) AS SecretId
        FROM OPENJSON(@secretIds) WITH (SecretId varchar(64) '$.SecretId') j) s;

  SELECT TOP (1) d.DataKeyId FROM MPE_DataKeys d;
  ${SELECT_SEQUENCE_TWINS}`;

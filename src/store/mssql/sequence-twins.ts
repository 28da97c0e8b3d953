/**
 * Numbers `N` of the messages in `@messages` of whose client another message id has the same
 * (epoch, sequence): two machines, one identity. Sequence 0 is of messages that could not be read.
 */
export const SELECT_SEQUENCE_TWINS = `
  SELECT m.N
  FROM OPENJSON(@messages) WITH (N int '$.N', ClientId uniqueidentifier '$.ClientId',
    MessageId uniqueidentifier '$.MessageId', Epoch int '$.Epoch', Sequence bigint '$.Sequence') m
  WHERE m.Sequence <> 0 AND (
    EXISTS (SELECT 1 FROM MPE_Outcomes t WHERE t.ClientId = m.ClientId AND t.Epoch = m.Epoch
              AND t.Sequence = m.Sequence AND t.MessageId <> m.MessageId)
    OR EXISTS (SELECT 1 FROM MPE_Reports t WHERE t.ClientId = m.ClientId AND t.Epoch = m.Epoch
                 AND t.Sequence = m.Sequence AND t.MessageId <> m.MessageId)
    OR EXISTS (SELECT 1 FROM MPE_ClientStates t WHERE t.ClientId = m.ClientId AND t.Epoch = m.Epoch
                 AND t.Sequence = m.Sequence AND t.MessageId <> m.MessageId));`;

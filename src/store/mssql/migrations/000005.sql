-- Recovery: disclosure and audit, rotation, policy, people.
SELECT 1 AS Nothing WHERE 1 = 0;
GO

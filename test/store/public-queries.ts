/**
 * Queries as administrators have them, written from the published names alone; docs/sqlserver-queries.md
 * lists the same texts, and a test compares.
 */
export const PUBLIC_QUERIES = {
  machine: `SELECT m.Name, t.TypeName, k.RecoveryKeyId, k.RecoveryKey, k.LastUpdateTime
FROM RecoveryAndHardwareCore_Machines m
  JOIN RecoveryAndHardwareCore_Machines_Volumes mv ON mv.MachineId = m.Id
  JOIN RecoveryAndHardwareCore_Volumes v ON v.Id = mv.VolumeId
  JOIN RecoveryAndHardwareCore_VolumeTypes t ON t.Id = v.VolumeTypeId
  JOIN RecoveryAndHardwareCore_Keys k ON k.VolumeId = mv.VolumeId
WHERE m.Name = 'PC1'
ORDER BY k.LastUpdateTime DESC, k.RecoveryKeyId`,
  newest: `WITH newest AS (
  SELECT RecoveryKeyId, RecoveryKey, LastUpdateTime,
    ROW_NUMBER() OVER (PARTITION BY RecoveryKeyId ORDER BY LastUpdateTime DESC) AS Place
  FROM RecoveryAndHardwareCore_Keys)
SELECT RecoveryKeyId, LastUpdateTime FROM newest WHERE Place = 1 ORDER BY RecoveryKeyId`,
  prefix: `SELECT RecoveryKeyId, VolumeId FROM RecoveryAndHardwareCore_Keys
WHERE RecoveryKeyId LIKE '8637036E%' ORDER BY RecoveryKeyId`,
  disclosed: `SELECT RecoveryKeyId, LastUpdateTime FROM RecoveryAndHardwareCore_Keys
WHERE Disclosed = 1 ORDER BY RecoveryKeyId`,
  types: `SELECT t.TypeName, COUNT(*) AS Volumes
FROM RecoveryAndHardwareCore_Volumes v
  JOIN RecoveryAndHardwareCore_VolumeTypes t ON t.Id = v.VolumeTypeId
GROUP BY t.TypeName ORDER BY t.TypeName`,
} as const;

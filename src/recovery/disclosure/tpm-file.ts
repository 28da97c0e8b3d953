/** What a TPM owner password file says beside the hash. */
export interface TpmFileFacts {
  /** The TPM password hash, base64. */
  readonly ownerAuth: string;
  readonly machineName: string;
  /** Who asked for it. */
  readonly user: string;
  readonly atMs: number;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

/** Text inside an attribute or element; what XML 1.0 has no form for is left out. */
function xml(text: string): string {
  return text
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\ufffe\uffff]|\p{Surrogate}/gu, '')
    .replaceAll(/[&<>"]/g, (character) => ESCAPES[character] ?? '');
}

/**
 * A `.tpm` file, as Windows' TPM management takes it. The manufacturer is not known to the site, and
 * Windows reads the owner authorization alone: 0.
 */
export function tpmFile({ ownerAuth, machineName, user, atMs }: TpmFileFacts): string {
  const created = new Date(atMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!--',
    'TPM Owner Password Backup File',
    '-->',
    `<tpmOwnerData version="1.0" softwareAuthor="mpe" creationDate="${created}" creationUser="${xml(user)}" ` +
      `machineName="${xml(machineName)}">`,
    '<tpmInfo manufacturerId="0"/>',
    `<ownerAuth>${xml(ownerAuth)}</ownerAuth>`,
    '</tpmOwnerData>',
    '',
  ].join('\r\n');
}

/** `DOMAIN\name`, or `-`: what a machine says it is called. */
export function machineOf(row: { readonly domain: string; readonly machineName: string }): string {
  if (row.machineName === '') return '-';
  return row.domain === '' ? row.machineName : `${row.domain}\\${row.machineName}`;
}

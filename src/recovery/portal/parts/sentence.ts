/** As a sentence: states and refusals are told in lower case elsewhere. */
export function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return text === '' || /[.!?]$/.test(text) ? begun : `${begun}.`;
}

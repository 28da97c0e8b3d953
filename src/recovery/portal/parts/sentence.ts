/** With a capital, as a heading or label begins. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** As a sentence: states and refusals are told in lower case elsewhere. */
export function sentence(text: string): string {
  const begun = capital(text);
  return text === '' || /[.!?]$/.test(text) ? begun : `${begun}.`;
}

/** A module as workerd imports it, compiled; in Bun, with the type "file", the path of the file. */
declare module '*.wasm' {
  const value: unknown;
  export default value;
}

/** Made by packages.mjs. */
declare module 'm2embed-inline' {
  /** The module: base64 of gzip. */
  export const text: string;
}

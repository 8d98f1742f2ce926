/** m2embed.wasm as edge runtimes import it: compiled. Bundlers that hand out its address or bytes have types of their own. */
declare const module: WebAssembly.Module;
export default module;

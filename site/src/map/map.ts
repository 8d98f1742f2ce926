export function startMap(): void {}

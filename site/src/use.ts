export function startUse(): void {}

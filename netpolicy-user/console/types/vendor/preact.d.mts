// What the page uses of preact: the vendored module has no types.
export type Child = unknown;
export type Component<P = any> = (props: P) => Child;
export interface Context<T> { Provider: Component<{ value: T; children?: Child }> }
export const Fragment: Component<{ children?: Child }>;
export function createContext<T>(value: T): Context<T>;
export function h(type: string | Component, props: Record<string, unknown> | null, ...children: Child[]): Child;
export function render(child: Child, parent: Element): void;

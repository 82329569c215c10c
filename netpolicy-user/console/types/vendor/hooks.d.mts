// What the page uses of preact's hooks.
import type { Context } from "./preact.mjs";

export interface Ref<T> { current: T }
export type Cleanup = void | undefined | (() => void);
export function useState<S>(initial: S | (() => S)): [S, (next: S | ((before: S) => S)) => void];
export function useRef<T>(initial: T): Ref<T>;
export function useEffect(effect: () => Cleanup, inputs?: readonly unknown[]): void;
export function useLayoutEffect(effect: () => Cleanup, inputs?: readonly unknown[]): void;
export function useMemo<T>(factory: () => T, inputs?: readonly unknown[]): T;
export function useCallback<F extends (...given: any[]) => unknown>(callback: F, inputs?: readonly unknown[]): F;
export function useReducer<S, A>(reducer: (state: S, action: A) => S, initial: S): [S, (action: A) => void];
export function useContext<T>(context: Context<T>): T;
export function useId(): string;

/// Fails to compile when `$type` has `$trait`: then two implementations of `Asked` fit and none can be chosen.
macro_rules! lacks {
    ($type:ty: $($trait:path),+) => {$({
        trait Asked<Fits> {
            fn ask() {}
        }
        struct Always;
        struct Having;
        impl<T: ?Sized> Asked<Always> for T {}
        impl<T: ?Sized + $trait> Asked<Having> for T {}
        let _ = <$type as Asked<_>>::ask;
    })+};
}

//! Foreign bytes, thrown at everything that reads them.
